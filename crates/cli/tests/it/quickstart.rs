//! `kinsight quickstart`, shortened.

use crate::fixture::{assert_says, kinsight, succeed};

#[test]
fn the_quickstart_ends_with_a_table_and_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("quick");
    let printed = succeed(kinsight().args(["quickstart", "--epochs", "1", "--out"]).arg(&out));
    assert_says(&printed, &["zero-shot", "Linear", "VPTSP-G", "Recall@1", "report.html", "kinsight train"]);
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert_says(&report, &["<!doctype html>", "Zero-shot", "VPTSP-G", "data:image/jpeg"]);
    assert!(!report.contains("src=\"http"), "the report loads nothing");
}
