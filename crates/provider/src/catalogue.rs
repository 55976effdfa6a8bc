//! The machine catalogue: what sizes there are and what each one is.
//!
//! Figures only. Which sizes a pool may use, and what a node costs over time, is decided elsewhere. The built-in
//! catalogue is `catalogue.toml` beside this file, which also documents the format.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use toml::Spanned;

const BUILTIN: &str = include_str!("catalogue.toml");
const GIB: f64 = 1_073_741_824.0;

/// One machine size.
#[derive(Debug, Clone, PartialEq)]
pub struct Size {
    /// Name as its cloud spells it.
    pub name: String,
    /// Cloud that sells it: `azure`, `aws`, or any word of an override file.
    pub cloud: String,
    /// Quota family.
    pub family: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Physical cores, at most `vcpus`.
    pub pcpus: u32,
    /// vCPUs that one machine takes from the quota.
    pub quota_vcpus: u32,
    /// Main memory, bytes.
    pub memory_bytes: u64,
    /// GPUs.
    pub gpus: u32,
    /// Product name of the GPUs as a driver reports it; absent without GPUs.
    pub gpu_model: Option<String>,
    /// Memory of one GPU, bytes; 0 without GPUs.
    pub gpu_memory_bytes: u64,
    /// Has InfiniBand or an equivalent RDMA fabric.
    pub infiniband: bool,
    /// Regular price, US dollars per hour, Linux.
    pub price_hour_usd: f64,
    /// Spot price, US dollars per hour; at most the regular price.
    pub spot_price_hour_usd: f64,
    /// Regions that offer it; not complete for the built-in catalogue.
    pub regions: Vec<String>,
}

/// A set of sizes, found by name without regard to case. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Catalogue {
    sizes: Arc<Vec<Size>>,
    by_name: Arc<HashMap<String, usize>>,
}

/// A catalogue text that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("machine catalogue, line {line}: {message}")]
pub struct CatalogueError {
    /// Line in the text, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Catalogue {
    /// The catalogue compiled in.
    #[must_use]
    pub fn builtin() -> Self {
        static PARSED: OnceLock<Catalogue> = OnceLock::new();
        PARSED
            .get_or_init(|| {
                let mut sizes = Sizes::default();
                sizes.add(BUILTIN).expect("the built-in catalogue is checked by a test");
                sizes.finish()
            })
            .clone()
    }

    /// The built-in catalogue with the families and changes of `text` laid over it. A size that is there already is
    /// replaced; a new one is added.
    ///
    /// # Errors
    /// A syntax error, an unknown key, an impossible figure, a name that occurs twice in `text`, or a change to a
    /// size that does not exist; each with its line.
    pub fn with_overrides(text: &str) -> Result<Self, CatalogueError> {
        let mut sizes = Sizes {
            sizes: Self::builtin().sizes.as_ref().clone(),
        };
        sizes.add(text)?;
        Ok(sizes.finish())
    }

    /// A catalogue of exactly these sizes; of several with one name the last counts.
    #[must_use]
    pub fn of(sizes: Vec<Size>) -> Self {
        let mut collected = Sizes::default();
        for size in sizes {
            collected.put(size);
        }
        collected.finish()
    }

    /// The size called `name`, in any case; the answer bears the canonical spelling.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Size> {
        let index = match self.by_name.get(name) {
            Some(index) => index,
            None => self.by_name.get(&name.to_ascii_lowercase())?,
        };
        Some(&self.sizes[*index])
    }

    /// All sizes, in the order of the file.
    #[must_use]
    pub fn sizes(&self) -> &[Size] {
        &self.sizes
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    family: Vec<FamilyEntry>,
    #[serde(default)]
    change: Vec<ChangeEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyEntry {
    name: String,
    cloud: String,
    #[serde(default)]
    regions: Vec<String>,
    #[serde(default)]
    infiniband: bool,
    gpu_model: Option<String>,
    #[serde(default)]
    gpu_memory_gib: f64,
    sizes: Vec<SizeEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SizeEntry {
    name: Spanned<String>,
    vcpus: u32,
    pcpus: u32,
    quota_vcpus: Option<u32>,
    memory_gib: f64,
    #[serde(default)]
    gpus: u32,
    infiniband: Option<bool>,
    price_hour_usd: f64,
    spot_price_hour_usd: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeEntry {
    name: Spanned<String>,
    price_hour_usd: Option<f64>,
    spot_price_hour_usd: Option<f64>,
    regions: Option<Vec<String>>,
}

#[derive(Default)]
struct Sizes {
    sizes: Vec<Size>,
}

impl Sizes {
    fn add(&mut self, text: &str) -> Result<(), CatalogueError> {
        let file: File = toml::from_str(text).map_err(|error| CatalogueError {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })?;
        let mut seen = HashMap::new();
        for family in &file.family {
            for entry in &family.sizes {
                let line = line_of(text, entry.name.span().start);
                let size = entry.build(family);
                check(&size).map_err(|message| CatalogueError { line, message })?;
                if let Some(first) = seen.insert(size.name.to_ascii_lowercase(), line) {
                    let message = format!("size {} is already on line {first}", size.name);
                    return Err(CatalogueError { line, message });
                }
                self.put(size);
            }
        }
        file.change.into_iter().try_for_each(|change| self.change(text, change))
    }

    fn change(&mut self, text: &str, change: ChangeEntry) -> Result<(), CatalogueError> {
        let line = line_of(text, change.name.span().start);
        let name = change.name.into_inner();
        let Some(size) = self.sizes.iter_mut().find(|size| size.name.eq_ignore_ascii_case(&name)) else {
            return Err(CatalogueError {
                line,
                message: format!("there is no size {name} to change"),
            });
        };
        size.price_hour_usd = change.price_hour_usd.unwrap_or(size.price_hour_usd);
        size.spot_price_hour_usd = change.spot_price_hour_usd.unwrap_or(size.spot_price_hour_usd);
        if let Some(regions) = change.regions {
            size.regions = regions;
        }
        check(size).map_err(|message| CatalogueError { line, message })
    }

    fn put(&mut self, size: Size) {
        match self
            .sizes
            .iter_mut()
            .find(|known| known.name.eq_ignore_ascii_case(&size.name))
        {
            Some(known) => *known = size,
            None => self.sizes.push(size),
        }
    }

    /// Indexes both spellings, so that the canonical one is found without making a lower-case copy.
    fn finish(self) -> Catalogue {
        let mut by_name = HashMap::new();
        for (index, size) in self.sizes.iter().enumerate() {
            by_name.insert(size.name.to_ascii_lowercase(), index);
            by_name.insert(size.name.clone(), index);
        }
        Catalogue {
            sizes: Arc::new(self.sizes),
            by_name: Arc::new(by_name),
        }
    }
}

impl SizeEntry {
    fn build(&self, family: &FamilyEntry) -> Size {
        Size {
            name: self.name.get_ref().clone(),
            cloud: family.cloud.clone(),
            family: family.name.clone(),
            vcpus: self.vcpus,
            pcpus: self.pcpus,
            quota_vcpus: self.quota_vcpus.unwrap_or(self.vcpus),
            memory_bytes: bytes_of_gib(self.memory_gib),
            gpus: self.gpus,
            gpu_model: family.gpu_model.clone().filter(|_| self.gpus > 0),
            gpu_memory_bytes: if self.gpus > 0 {
                bytes_of_gib(family.gpu_memory_gib)
            } else {
                0
            },
            infiniband: self.infiniband.unwrap_or(family.infiniband),
            price_hour_usd: self.price_hour_usd,
            spot_price_hour_usd: self.spot_price_hour_usd,
            regions: family.regions.clone(),
        }
    }
}

fn check(size: &Size) -> Result<(), String> {
    let name = &size.name;
    let wrong = if name.is_empty() {
        "a size needs a name".to_owned()
    } else if size.vcpus == 0 || size.pcpus == 0 || size.quota_vcpus == 0 {
        format!("{name}: vcpus, pcpus and quota_vcpus are at least 1")
    } else if size.pcpus > size.vcpus {
        format!("{name}: pcpus {} is more than vcpus {}", size.pcpus, size.vcpus)
    } else if size.memory_bytes == 0 {
        format!("{name}: memory_gib is more than 0")
    } else if size.gpus > 0 && (size.gpu_model.is_none() || size.gpu_memory_bytes == 0) {
        format!("{name}: gpus need gpu_model and gpu_memory_gib in the family")
    } else if !size.price_hour_usd.is_finite()
        || !size.spot_price_hour_usd.is_finite()
        || size.spot_price_hour_usd < 0.0
    {
        format!("{name}: prices are numbers from 0")
    } else if size.spot_price_hour_usd > size.price_hour_usd {
        format!("{name}: the spot price is above the regular price")
    } else {
        return Ok(());
    };
    Err(wrong)
}

/// Figures in the file are GiB with fractions; the cast saturates and turns nonsense into 0, which `check` refuses.
fn bytes_of_gib(gib: f64) -> u64 {
    (gib * GIB).round() as u64
}

fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    text.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, CatalogueError};

    fn refused(text: &str) -> CatalogueError {
        Catalogue::with_overrides(text).expect_err("must be refused")
    }

    #[test]
    fn the_builtin_catalogue_has_at_least_sixty_sizes_with_sane_figures() {
        let catalogue = Catalogue::builtin();
        assert!(catalogue.sizes().len() >= 60);
        for size in catalogue.sizes() {
            super::check(size).expect("sane");
            assert!(!size.regions.is_empty(), "{} has no region", size.name);
            assert!(size.quota_vcpus >= size.vcpus, "{}", size.name);
            assert!(size.price_hour_usd > 0.0, "{}", size.name);
            assert_eq!(catalogue.get(&size.name).map(|found| &found.name), Some(&size.name));
        }
    }

    #[test]
    fn sizes_of_the_specification_are_there_with_their_figures() {
        let catalogue = Catalogue::builtin();
        let rows = [
            ("Standard_D4s_v5", 4, 2, 16, 0, false),
            ("Standard_D8s_v5", 8, 4, 32, 0, false),
            ("Standard_F4s_v2", 4, 2, 8, 0, false),
            ("Standard_F8s_v2", 8, 4, 16, 0, false),
            ("Standard_F16s_v2", 16, 8, 32, 0, false),
            ("Standard_F32s_v2", 32, 16, 64, 0, false),
            ("Standard_HC44rs", 44, 44, 352, 0, true),
            ("Standard_ND96isr_H100_v5", 96, 96, 1900, 8, true),
            ("p5.48xlarge", 192, 96, 2048, 8, true),
        ];
        for (name, vcpus, pcpus, memory_gib, gpus, infiniband) in rows {
            let size = catalogue.get(name).expect(name);
            assert_eq!((size.vcpus, size.pcpus, size.gpus), (vcpus, pcpus, gpus), "{name}");
            assert_eq!(size.memory_bytes, memory_gib << 30, "{name}");
            assert_eq!(size.infiniband, infiniband, "{name}");
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_come_back_in_canonical_spelling() {
        let catalogue = Catalogue::builtin();
        assert_eq!(
            catalogue.get("STANDARD_hc44RS").map(|size| size.name.as_str()),
            Some("Standard_HC44rs")
        );
        assert!(catalogue.get("Standard_HC45rs").is_none());
    }

    #[test]
    fn overrides_add_replace_and_change() {
        let text = r#"
            [[family]]
            name = "lab"
            cloud = "own"
            sizes = [
                { name = "lab.big", vcpus = 64, pcpus = 32, memory_gib = 256, price_hour_usd = 0, spot_price_hour_usd = 0 },
                { name = "m5.large", vcpus = 2, pcpus = 2, memory_gib = 9, price_hour_usd = 1, spot_price_hour_usd = 1 },
            ]
            [[change]]
            name = "standard_d4s_v5"
            price_hour_usd = 0.15
        "#;
        let catalogue = Catalogue::with_overrides(text).expect("fits");
        assert_eq!(catalogue.sizes().len(), Catalogue::builtin().sizes().len() + 1);
        assert_eq!(catalogue.get("LAB.BIG").map(|size| size.vcpus), Some(64));
        assert_eq!(catalogue.get("m5.large").map(|size| size.family.as_str()), Some("lab"));
        assert!(
            catalogue
                .get("Standard_D4s_v5")
                .is_some_and(|size| size.price_hour_usd == 0.15 && size.vcpus == 4)
        );
    }

    #[test]
    fn mistakes_are_refused_with_their_line() {
        assert_eq!(refused("\n\n[[family]\n").line, 3);
        assert_eq!(refused("\n[[change]]\nname = \"nowhere\"\n").line, 3);
        assert_eq!(refused("\n[[change]]\nname = \"m5.large\"\nvcpus = 3\n").line, 4);
        let size =
            "{ name = \"a\", vcpus = 2, pcpus = 3, memory_gib = 1, price_hour_usd = 1, spot_price_hour_usd = 1 }";
        let error = refused(&format!(
            "[[family]]\nname = \"f\"\ncloud = \"c\"\nsizes = [\n{size}]\n"
        ));
        assert_eq!(
            (error.line, error.message.as_str()),
            (5, "a: pcpus 3 is more than vcpus 2")
        );
        let fine = size.replace("pcpus = 3", "pcpus = 1");
        let error = refused(&format!(
            "[[family]]\nname = \"f\"\ncloud = \"c\"\nsizes = [\n{fine},\n{fine}]\n"
        ));
        assert_eq!((error.line, error.message.as_str()), (6, "size a is already on line 5"));
    }
}
