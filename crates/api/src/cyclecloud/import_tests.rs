//! What templates become.

use std::time::Duration;

use reeve_model::pool::{PoolKind, ShutdownPolicy};
use serde_json::{Value as Json, json};

use super::*;

const DEMO: &str = "
[cluster demo]
MaxCount = 40
MaxCoreCount = 1000

    [[node defaults]]
    Region = westus2
    SubnetId = rg/vnet/compute
    Credentials = cloud

    [[node scheduler]]
    MachineType = Standard_D8s_v5
        [[[configuration]]]
        slurm.role = scheduler

    [[nodearray htc]]
    MachineType = Standard_F4s_v2, Standard_F16s_v2
    MaxCoreCount = $MaxHtcCores

    [[nodearray hpc]]
    MachineType = Standard_HC44rs
    MaxCount = 8
    Azure.MaxScalesetSize = 5
    ShutdownPolicy = deallocate
        [[[configuration slurm]]]
        autoscale = true

    [[nodearray spot]]
    Extends = htc
    MachineType = Standard_F8s_v2
    MaxCoreCount := undefined
    MaxCount = 10
    Interruptible = true
    MaxPrice = -1
    Timeout = 10m

    [[nodearray login]]
    MachineType = Standard_D4s_v5
    InitialCount = 1

[parameters Scaling]
    [[parameters Limits]]
        [[[parameter MaxHtcCores]]]
        DefaultValue = 200
";

fn demo() -> Spec {
    spec_in(DEMO, "demo", None, &Record::new(), "here")
        .map(|(spec, _)| spec)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn attributes(spec: &PoolSpec) -> Json {
    serde_json::from_str(&spec.attributes).unwrap_or_default()
}

#[test]
fn pools_come_in_declared_order_with_their_limits() {
    let spec = demo();
    assert_eq!((spec.max_count, spec.max_cores), (Some(40), Some(1000)));
    let names: Vec<&str> = spec.pools.iter().map(|row| row.pool.name.as_str()).collect();
    assert_eq!(names, ["scheduler", "htc", "hpc", "spot", "login"]);
    assert_eq!(spec.pools[0].pool.kind, PoolKind::Single);
    let [_, htc, hpc, spot, login] = spec.pools.as_slice() else {
        panic!("five pools")
    };
    assert_eq!(htc.pool.sizes, ["Standard_F4s_v2", "Standard_F16s_v2"]);
    assert_eq!(htc.pool.max_cores, Some(200));
    assert_eq!((hpc.pool.group_size_max, hpc.pool.max_count), (5, Some(8)));
    assert_eq!(hpc.pool.shutdown_policy, ShutdownPolicy::Deallocate);
    assert!(spot.pool.interruptible);
    assert_eq!((spot.pool.max_cores, spot.pool.max_price), (None, None));
    assert_eq!(spot.pool.start_timeout, Duration::from_secs(600));
    assert_eq!(login.pool.initial_count, 1);
    assert!(
        spec.pools
            .iter()
            .all(|row| row.pool.account == "cloud" && row.pool.region == "westus2")
    );
}

#[test]
fn types_survive_in_the_attributes() {
    let hpc = attributes(&demo().pools[2]);
    assert_eq!(hpc["Configuration"]["slurm"]["autoscale"], json!(true));
    assert_eq!(hpc["Azure"]["MaxScalesetSize"], json!(5));
}

#[test]
fn given_parameters_win_over_declared_defaults() {
    let given = Record::from_iter([("maxhtccores".to_owned(), json!(64))]);
    let spec = spec_in(DEMO, "demo", None, &given, "here")
        .map(|(spec, _)| spec)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(spec.pools[1].pool.max_cores, Some(64));
}

#[test]
fn what_is_not_declared_gets_the_server_s_defaults_in_pool_and_attributes() {
    let text = "[cluster c]\n[[nodearray a]]\nMachineType = tiny\n";
    let (spec, _) = spec_in(text, "c", None, &Record::new(), "here").unwrap_or_else(|error| panic!("{error}"));
    let row = &spec.pools[0];
    assert_eq!((row.pool.account.as_str(), row.pool.region.as_str()), ("local", "here"));
    let shown = attributes(row);
    assert_eq!(
        (&shown["Region"], &shown["SubnetId"], &shown["Credentials"]),
        (&json!("here"), &json!("default"), &json!("local"))
    );
    assert_eq!(row.size_line, 3);
}

#[test]
fn problems_name_their_lines() {
    let text = "[cluster c]\n[[nodearray a]]\nMaxCount = 3\n";
    let error = spec_in(text, "c", None, &Record::new(), "here")
        .map(|_| ())
        .unwrap_err();
    assert!(error.message.contains("line 2"), "{}", error.message);
}

#[test]
fn spans_have_units() {
    assert_eq!(span("30s"), Some(Duration::from_secs(30)));
    assert_eq!(span("2d"), Some(Duration::from_secs(172_800)));
    assert_eq!(span("45"), Some(Duration::from_secs(45)));
    assert_eq!(span("soon"), None);
}
