//! `kinsight compare`: methods and seeds on one data set, and what they show together.

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kinsight_files::Lock;
use kinsight_report::comparison::Comparison;
use kinsight_train::TrainConfig;
use kinsight_train::compare::{CompareFolder, CompareSpec, PlannedRun, RunFigures, ZeroShot, comparison};
use kinsight_train::config::{Overrides, parse_assignment};
use kinsight_train::run::{RunCost, RunFolder};
use kinsight_train::trainer::Trainer;
use toml::Table;

use crate::context::{Context as Computing, DeviceArgs};
use crate::interrupt::{stop_flag, stopped};

const EXAMPLES: &str = "\
Examples:
  Which method is best for these photos, with three seeds each:
    kinsight compare --methods linear,bitfit,vpt+bitfit,vptsp-g+bitfit --backbone deit_small --data photos/ --out compare

  The paper's table of methods:
    kinsight compare --config configs/compare_methods.toml --backbone deit_tiny --data photos/ --out compare

  To continue, or to add seeds: the same command again trains what is missing.";

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareArgs {
    /// TOML file with a title, seeds, a table of settings and an entry for each method
    #[arg(long, required_unless_present = "methods")]
    pub config: Option<PathBuf>,
    /// Methods to compare, instead of --config
    #[arg(long, value_delimiter = ',', value_name = "METHOD,..", conflicts_with = "config")]
    pub methods: Vec<String>,
    /// Seeds of each entry [default: those of the TOML, or 0,1,2]; one seed cannot show how much training varies
    #[arg(long, value_delimiter = ',', value_name = "SEED,..")]
    pub seeds: Vec<u64>,
    /// Name or path of the backbone
    #[arg(long)]
    pub backbone: Option<String>,
    /// Images, as for `kinsight train`
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Folder for the runs and the tables
    #[arg(long)]
    pub out: PathBuf,
    /// Passes over the training images
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Any setting, for all runs, such as optimizer.lr=0.001; can be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Do not train; only write the tables of the finished runs
    #[arg(long)]
    pub tables_only: bool,
    /// Print the comparison as JSON
    #[arg(long)]
    pub json: bool,
}

/// Trains what is missing, then writes and prints the tables.
pub fn run(arguments: &CompareArgs) -> Result<()> {
    let mut spec = match &arguments.config {
        Some(path) => CompareSpec::read(path)?,
        None => CompareSpec::of_methods(&arguments.methods)?,
    };
    if !arguments.seeds.is_empty() {
        spec.seeds.clone_from(&arguments.seeds);
    }
    let runs = spec.runs(&above(arguments)?)?;
    let configs = runs.iter().map(config_of).collect::<Result<Vec<TrainConfig>>>()?;
    if configs[0].data.path.as_os_str().is_empty() {
        bail!("no images given: use --data DIR, or data.path in the settings");
    }
    let folder = CompareFolder::at(&arguments.out);
    let _lock = if arguments.tables_only {
        None
    } else {
        kinsight_files::create_dir_all(&arguments.out)?;
        Some(Lock::acquire(&arguments.out, "kinsight compare")?)
    };
    let context = arguments.device.resolve()?;
    let zero_shot = zero_shot(&folder, &configs[0], arguments.tables_only, &context)?;
    let mut missing = Vec::new();
    if !arguments.tables_only {
        let stop = stop_flag()?;
        for (i, planned) in runs.iter().enumerate() {
            eprintln!("[{}/{}] {}, seed {}", i + 1, runs.len(), planned.name, planned.seed);
            let trained = train(&folder, planned, arguments.device, stop);
            if stop.load(Ordering::Relaxed) {
                return stopped("the runs that are finished are kept, and the same command goes on");
            }
            if let Err(reason) = trained {
                eprintln!("warning: {}, seed {}: {reason:#}", planned.name, planned.seed);
                missing.push((format!("{}, seed {}", planned.name, planned.seed), format!("{reason:#}")));
            }
        }
    }
    let comparison = gather(&spec, &folder, &runs, &configs[0], zero_shot, missing)?;
    let written = folder.write(&comparison)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&comparison)?);
    } else {
        print!("{}", comparison.to_markdown());
    }
    for path in &written {
        eprintln!("wrote {}", path.display());
    }
    if !comparison.missing.is_empty() {
        bail!("{} of {} runs are not finished", comparison.missing.len(), runs.len());
    }
    Ok(())
}

/// What the command line sets in all runs.
fn above(arguments: &CompareArgs) -> Result<Vec<Table>> {
    let mut overrides = Overrides::default();
    if let Some(backbone) = &arguments.backbone {
        overrides.set("backbone", backbone.clone());
    }
    if let Some(data) = &arguments.data {
        overrides.set("data.path", data.display().to_string());
    }
    if let Some(epochs) = arguments.epochs {
        overrides.set("epochs", epochs as i64);
    }
    for assignment in &arguments.set {
        overrides.assignments.push(parse_assignment(assignment)?);
    }
    Ok(overrides.assignments)
}

fn config_of(run: &PlannedRun) -> Result<TrainConfig> {
    toml::from_str(&run.settings).with_context(|| format!("settings of {}", run.name))
}

/// The bare backbone's figures, measured once; again where an older version did not keep the classes of the queries, which the
/// intervals need, unless `as_it_is`.
fn zero_shot(folder: &CompareFolder, config: &TrainConfig, as_it_is: bool, context: &Computing) -> Result<RunFigures> {
    let path = folder.zero_shot();
    let of = format!("{} on {:?}, pooling {:?}", config.backbone, config.data, config.tuning.pooling);
    if path.is_file() {
        let known = ZeroShot::read(&path)?;
        if known.of == of && (as_it_is || !known.figures.queries.labels.is_empty()) {
            return Ok(known.figures);
        }
    }
    eprintln!("measuring the bare backbone (zero-shot)");
    let trainer = Trainer::new(config.clone(), &context.device)?;
    let measured = trainer.measure_zero_shot()?;
    let figures = RunFigures {
        metrics: measured.evaluation.metrics.clone(),
        queries: measured.query_scores(),
        cost: RunCost::default(),
    };
    write(&path, &serde_json::to_vec(&ZeroShot { of, figures: figures.clone() })?)?;
    Ok(figures)
}

/// Trains one run in a process of its own, so that its peak memory is its own; nothing if it is finished.
fn train(folder: &CompareFolder, run: &PlannedRun, device: DeviceArgs, stop: &AtomicBool) -> Result<()> {
    let (settings, out) = (folder.settings(run), folder.run(run));
    let unchanged = std::fs::read_to_string(&settings).is_ok_and(|text| text == run.settings);
    if unchanged && RunFigures::of_run(&RunFolder::at(&out))?.is_some() {
        return Ok(());
    }
    write(&settings, run.settings.as_bytes())?;
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.arg("train").arg("--config").arg(&settings).arg("--out").arg(&out).arg("--resume");
    command.args(device.as_flags());
    // In a separate process group, so that Ctrl-C in a terminal reaches only this process, which passes it on once.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // The run's own table would mix with the comparison's.
    let child = command.stdout(std::process::Stdio::null()).spawn().context("cannot start the run")?;
    let status = wait(child, stop)?;
    if !status.success() {
        bail!("the run failed ({status}); see the message above");
    }
    if !stop.load(Ordering::Relaxed) && RunFigures::of_run(&RunFolder::at(&out))?.is_none() {
        bail!("the run stopped early");
    }
    Ok(())
}

/// Waits for the run's end, and passes a request to stop on to it.
fn wait(mut child: Child, stop: &AtomicBool) -> Result<ExitStatus> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the run")? {
            return Ok(status);
        }
        if stop.load(Ordering::Relaxed) && !told {
            told = true;
            // Where there is no such program the run ends at once; its last checkpoint is whole.
            let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            if !asked.is_ok_and(|status| status.success()) {
                child.kill().context("cannot stop the run")?;
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn write(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        kinsight_files::create_dir_all(parent)?;
    }
    Ok(kinsight_files::write(path, bytes)?)
}

/// The comparison of all finished runs.
fn gather(
    spec: &CompareSpec,
    folder: &CompareFolder,
    runs: &[PlannedRun],
    config: &TrainConfig,
    zero_shot: RunFigures,
    mut missing: Vec<(String, String)>,
) -> Result<Comparison> {
    let mut entries = Vec::new();
    for entry in &spec.entries {
        let mut figures = Vec::new();
        for run in runs.iter().filter(|run| run.name == entry.name) {
            let name = format!("{}, seed {}", run.name, run.seed);
            match RunFigures::of_run(&RunFolder::at(&folder.run(run)))? {
                Some(found) if !missing.iter().any(|(run, _)| *run == name) => figures.push(found),
                Some(_) => {}
                None if missing.iter().any(|(run, _)| *run == name) => {}
                None => missing.push((name, "not trained yet".into())),
            }
        }
        entries.push((entry.name.clone(), figures));
    }
    let seeds = spec.seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let facts = vec![
        ("backbone".to_string(), config.backbone.clone()),
        ("images".to_string(), config.data.path.display().to_string()),
        ("queries".to_string(), zero_shot.queries.scores.len().to_string()),
        ("epochs".to_string(), config.epochs.to_string()),
        ("seeds".to_string(), seeds),
        ("program".to_string(), format!("kinsight {}", env!("CARGO_PKG_VERSION"))),
    ];
    Ok(comparison(&spec.title, facts, zero_shot, entries, missing))
}
