//! `kinsight audit`: what is wrong with a data set, before a model learns it.
//!
//! The command embeds and writes; what counts as a finding, and how it is told, is `kinsight_audit`'s.

mod judge;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use kinsight_audit::{AuditSettings, FindingKind, Findings, Images};
use kinsight_data::inspect::{DuplicateConfig, inspect};
use kinsight_data::{DecodeLimits, SplitRule};

use super::settings::split_rule;
use crate::arguments::SplitArg;
use crate::context::ComputeArgs;
use crate::progress::counting_bar;

const EXAMPLES: &str = "\
Examples:
  With the built-in backbone; writes audit.html and audit.csv:
    kinsight audit photos/

  With a stronger backbone, which judges labels better:
    kinsight audit photos/ --backbone deit_small --out audits/photos

  With a fine-tuned run, whose proxies check the labels of its training classes:
    kinsight audit photos/ --run runs/first

  In CI, failing on certain findings:
    kinsight audit photos/ --fail-on unreadable,leakage,conflicts --json > audit.json";

/// Arguments of `audit`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_override_self = true)]
pub struct AuditArgs {
    /// Images: folder of class folders, folder with train/ and test/, folder of images, or CSV with path,label,split
    pub dir: PathBuf,
    /// Folder for audit.html and audit.csv
    #[arg(long, default_value = "kinsight-audit")]
    pub out: PathBuf,
    /// Run whose model to use; on the run's own images, leakage is checked across the run's split
    #[arg(long)]
    pub run: Option<PathBuf>,
    /// Backbone to use, by name or path [default: the run's, or the built-in one]
    #[arg(long)]
    pub backbone: Option<String>,
    /// Split to check for leakage [default: the run's, train/ and test/, or a list's column; otherwise leakage is not checked]
    #[arg(long, value_enum)]
    pub split: Option<SplitArg>,
    /// Seed of --split random-half
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Exit with 1 if there are findings of these kinds
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND,..")]
    pub fail_on: Vec<FailOn>,
    /// Correlation above which two images count as copies
    #[arg(long, default_value_t = DuplicateConfig::default().min_correlation, value_name = "0..1")]
    pub min_correlation: f64,
    /// Confidence from which a suspected wrong label is listed; lower values list more
    #[arg(long, default_value_t = 0.5, value_name = "SCORE")]
    pub min_label_score: f64,
    /// An image is an outlier if its similarity is this many robust standard deviations below the usual
    #[arg(long, default_value_t = 4.0)]
    pub outlier_deviations: f64,
    /// Maximum findings of each kind on the page; the CSV lists all
    #[arg(long, default_value_t = 60)]
    pub max_shown: usize,
    /// Batch size
    #[arg(long, default_value_t = 32)]
    pub batch_size: usize,
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// `--fail-on`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Files that cannot be read
    Unreadable,
    /// Equal files and copies of images
    Duplicates,
    /// Images or classes on both sides of the split
    Leakage,
    /// Copies with different labels
    Conflicts,
    /// Labels in doubt
    Labels,
    /// Images unlike all others
    Outliers,
    /// Very small or elongated images, and classes with fewer than two images
    Sizes,
}

impl FailOn {
    fn kinds(self) -> &'static [FindingKind] {
        match self {
            Self::Unreadable => &[FindingKind::Unreadable],
            Self::Duplicates => &[FindingKind::SameFile, FindingKind::SamePicture],
            Self::Leakage => &[FindingKind::Leakage, FindingKind::SharedClass],
            Self::Conflicts => &[FindingKind::Conflict],
            Self::Labels => &[FindingKind::Label],
            Self::Outliers => &[FindingKind::Outlier],
            Self::Sizes => &[FindingKind::Size, FindingKind::SmallClass, FindingKind::EmptyClass],
        }
    }
}

/// Looks, writes the page and the CSV, prints, and fails if asked to.
pub fn run(arguments: AuditArgs) -> Result<()> {
    let arguments = &arguments;
    anyhow::ensure!(
        (0.0..=1.0).contains(&arguments.min_correlation),
        "--min-correlation is {}, expected a number from 0 to 1",
        arguments.min_correlation
    );
    let judge = judge::Judge::load(arguments)?;
    let of_run = judge.config().filter(|config| config.data.are_at(&arguments.dir));
    let of_run = of_run.map(|config| config.data.split.unwrap_or_else(|| SplitRule::detect(&arguments.dir)));
    let asked = arguments.split.map(|split| split_rule(split, arguments.seed)).or(of_run);
    let images = Images::load(&arguments.dir, asked)?;

    let bar = counting_bar("reading  ", images.items.len(), "files");
    let inspections = inspect(&images.items, DecodeLimits::default(), || bar.inc(1));
    bar.finish_and_clear();

    let embedded = judge.embed(&images, &inspections, arguments)?;
    let settings = AuditSettings {
        min_correlation: arguments.min_correlation,
        min_label_score: arguments.min_label_score,
        outlier_deviations: arguments.outlier_deviations,
    };
    let findings = Findings::of(&images, &inspections, embedded.as_ref(), &judge.proxies(&images)?, settings)?;

    kinsight_files::create_dir_all(&arguments.out)?;
    let (csv, html) = (arguments.out.join("audit.csv"), arguments.out.join("audit.html"));
    kinsight_files::write(&csv, &kinsight_audit::to_csv(&findings, &images)?)?;
    let page =
        kinsight_audit::page(&findings, &images, &inspections, &arguments.dir, &judge.model.name, arguments.max_shown);
    kinsight_files::write(&html, page.to_html().as_bytes())?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&kinsight_audit::to_json(&findings, &images, &inspections))?);
    } else {
        print!("{}", kinsight_audit::summary(&findings, &images));
        println!("report: {}", html.display());
        println!("list to act on: {}", csv.display());
    }
    let leakage = [FindingKind::Leakage, FindingKind::SharedClass];
    if images.sides.is_empty()
        && arguments.fail_on.iter().any(|fail_on| fail_on.kinds().iter().any(|k| leakage.contains(k)))
    {
        eprintln!(
            "warning: leakage was not checked, since there is no split\nhint: name one with --split, as first-half"
        );
    }
    let failed: Vec<String> = FindingKind::ALL
        .into_iter()
        .filter(|kind| arguments.fail_on.iter().any(|fail_on| fail_on.kinds().contains(kind)))
        .filter_map(|kind| Some((kind, findings.count(kind))).filter(|(_, count)| *count > 0))
        .map(|(kind, count)| format!("{count} {}", kind.words(count)))
        .collect();
    anyhow::ensure!(failed.is_empty(), "{}: found {}", arguments.dir.display(), failed.join(", "));
    Ok(())
}
