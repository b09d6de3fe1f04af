//! `kinsight plan` against what the run then shows, and `--bank disk` against `--bank ram`.

use serde_json::Value;

use crate::fixture::{Fixture, assert_says, kinsight, succeed};

fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_plan_says_what_the_run_then_takes() {
    let fixture = Fixture::new();
    for method in ["linear", "vpt+lora", "vptsp-g+bitfit"] {
        let command = |name: &str| {
            let mut command = kinsight();
            command.args([name, "--method", method, "--epochs", "2", "--batch-size", "8"]);
            command.arg("--backbone").arg(fixture.path("backbone.safetensors")).arg("--data").arg(fixture.images());
            command
        };
        let plan: Value = serde_json::from_str(&succeed(command("plan").arg("--json"))).unwrap();
        let run = fixture.path(&format!("run-{method}"));
        succeed(command("train").arg("--out").arg(&run));
        let cost = json(&run.join("cost.json"));
        for key in ["parameters", "trainable", "kept"] {
            assert_eq!(plan[key], cost[key], "{method}: {key}");
        }
        let size = |file: &str| std::fs::metadata(run.join(file)).unwrap().len();
        assert_eq!(plan["model_bytes"].as_u64().unwrap(), size("model.safetensors"), "{method}");
        let checkpoint = size("checkpoints/latest.safetensors").abs_diff(plan["checkpoint_bytes"].as_u64().unwrap());
        // A run's checkpoint also remembers its evaluations, a few numbers each.
        assert!(checkpoint < 1024, "{method}: the checkpoint differs by {checkpoint} bytes beyond its progress");
        if let (Some(planned), Some(taken)) = (plan["peak_memory_bytes"].as_f64(), cost["peak_memory_bytes"].as_f64()) {
            assert!((planned / taken - 1.0).abs() < 0.15, "{method}: planned {planned}, taken {taken}");
        }
    }
}

#[test]
fn a_plan_is_for_people_too() {
    let fixture = Fixture::new();
    let mut command = kinsight();
    command.args(["plan", "--method", "vptsp-g", "--batch-size", "8", "--bank", "disk"]);
    command.arg("--backbone").arg(fixture.path("backbone.safetensors")).arg("--data").arg(fixture.images());
    let printed = succeed(&mut command);
    assert_says(&printed, &["trained parameters", "peak memory", "prompt memory bank", "of disk", "epoch"]);
}

#[test]
fn a_bank_on_disk_trains_as_one_in_memory() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("ram", &["--bank", "ram"]));
    succeed(&mut fixture.train("disk", &["--bank", "disk"]));
    for file in ["model.safetensors", "log.jsonl", "metrics.json"] {
        let read = |run: &str| std::fs::read(fixture.path(run).join(file)).unwrap();
        assert!(read("ram") == read("disk"), "{file} differs");
    }
    assert!(fixture.path("disk/checkpoints/bank.bin").is_file());
}
