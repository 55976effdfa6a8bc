//! GPUs, through the management library of the NVIDIA driver.
//!
//! The library is loaded when the agent starts and only if it is there; a machine without it is silent about
//! GPUs, one whose driver fails says so in `gpu_error`. A driver that comes later is found at the agent's next
//! start. Nothing else about CUDA is known here.

use std::ffi::OsStr;
use std::path::Path;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use reeve_wire::agent::{Facts, Gpu, GpuSample};

/// The name that every driver package installs, then the one of development packages.
const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// There when the kernel part of the driver is loaded.
const CONTROL_DEVICE: &str = "/dev/nvidiactl";

/// The driver, or why there is none.
pub(super) struct Gpus {
    driver: Option<Nvml>,
    error: Option<String>,
}

impl Gpus {
    /// Loads the driver's library. Waking sleeping GPUs takes seconds, so that happens off the async thread; without
    /// a driver this is one failed `dlopen`.
    pub(super) async fn load() -> Self {
        if Path::new(CONTROL_DEVICE).exists() {
            let loaded = tokio::task::spawn_blocking(Self::load_now).await;
            return loaded.unwrap_or_else(|error| Self {
                driver: None,
                error: Some(error.to_string()),
            });
        }
        Self::load_now()
    }

    /// A machine without GPUs.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self {
            driver: None,
            error: None,
        }
    }

    fn load_now() -> Self {
        let mut error = None;
        for library in LIBRARIES {
            match Nvml::builder().lib_path(OsStr::new(library)).init() {
                Ok(driver) => {
                    return Self {
                        driver: Some(driver),
                        error: None,
                    };
                }
                Err(failure) if is_absent(&failure) => {}
                Err(failure) => error = error.or(Some(failure.to_string())),
            }
        }
        Self { driver: None, error }
    }

    /// Fills in what is known about GPUs.
    pub(super) fn describe(&self, facts: &mut Facts) {
        facts.gpu_error.clone_from(&self.error);
        let Some(driver) = &self.driver else { return };
        facts.gpu_driver = driver.sys_driver_version().ok();
        match list(driver) {
            Ok(gpus) => facts.gpus = gpus,
            Err(error) => facts.gpu_error = Some(error.to_string()),
        }
    }

    /// How each GPU is doing; one that does not answer is left out.
    pub(super) fn samples(&self) -> Vec<GpuSample> {
        let Some(driver) = &self.driver else { return Vec::new() };
        (0..driver.device_count().unwrap_or(0))
            .filter_map(|index| sample(driver, index))
            .collect()
    }
}

/// True when the library is not installed, as opposed to installed and broken.
fn is_absent(error: &NvmlError) -> bool {
    matches!(error, NvmlError::LibloadingError(cause) if cause.to_string().contains("No such file"))
}

fn list(driver: &Nvml) -> Result<Vec<Gpu>, NvmlError> {
    (0..driver.device_count()?)
        .map(|index| {
            let device = driver.device_by_index(index)?;
            let (uuid, model, memory) = (device.uuid()?, device.name()?, device.memory_info()?);
            Ok(Gpu {
                index,
                uuid,
                model,
                memory_bytes: memory.total,
            })
        })
        .collect()
}

fn sample(driver: &Nvml, index: u32) -> Option<GpuSample> {
    let device = driver.device_by_index(index).ok()?;
    Some(GpuSample {
        index,
        busy: device
            .utilization_rates()
            .ok()
            .map(|rates| f64::from(rates.gpu) / 100.0),
        memory_used_bytes: device.memory_info().ok().map(|memory| memory.used),
        power_watts: device
            .power_usage()
            .ok()
            .map(|milliwatts| f64::from(milliwatts) / 1000.0),
        temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
    })
}
