//! The page of an audit.

use kinsight_report::Picture;
use kinsight_report::audit::{AuditPage, ClassRow, Doubt, Figure, PictureGroup, ReadFailure, SizeRow, Stray};

const HOSTILE: &str = "</title><script>alert(1)</script>\"&amp;\u{202e}";

/// A page with something in every part and `name` wherever a user's string goes.
fn full(name: &str) -> AuditPage {
    let picture = || Picture::jpeg(name, name, b"jpeg".to_vec());
    let group = || vec![PictureGroup { note: name.into(), pictures: vec![picture(), picture()] }];
    let stray = || Stray { picture: picture(), note: name.into() };
    let doubt = || Doubt {
        picture: picture(),
        suggested: name.into(),
        vote: 0.7,
        score: 0.9,
        neighbors: vec![(picture(), true), (picture(), false)],
    };
    AuditPage {
        title: name.into(),
        subtitle: name.into(),
        created: name.into(),
        figures: vec![
            Figure { name: "Same files".into(), count: 1, note: name.into(), grave: true, section: "equal".into() },
            Figure { name: "Outliers".into(), count: 0, note: name.into(), grave: false, section: "outliers".into() },
        ],
        unreadable: vec![ReadFailure { path: name.into(), reason: name.into() }],
        leaks: group(),
        shared_classes: vec![name.into()],
        conflicts: group(),
        equal: group(),
        near: group(),
        doubts: vec![doubt()],
        strays: (0..20).map(|_| stray()).collect(),
        classes: vec![ClassRow { name: name.into(), images: 3, diversity: Some(0.2), doubts: 1 }],
        empty_classes: vec![name.into()],
        sizes: vec![SizeRow { range: "64 to 127".into(), images: 3 }],
        odd_sizes: vec![stray()],
        notes: vec![name.into()],
    }
}

#[test]
fn every_part_is_shown_and_those_without_findings_are_left_out() {
    let html = full("Swallowtail").to_html();
    for id in ["unreadable", "leakage", "conflicts", "equal", "near", "labels", "outliers", "classes", "sizes"] {
        assert!(html.contains(&format!("<h2 id=\"{id}\">")), "no section {id}");
    }
    for part in ["<a href=\"#equal\">Same files</a>", "8 more", "70.0 % of its neighbors", "or rather"] {
        assert!(html.contains(part), "no {part}");
    }
    assert!(html.contains("<dt>Outliers</dt>"), "a figure of nothing leads nowhere");
    assert_eq!(html.matches("<symbol id=\"p").count(), 1, "equal pictures are stored once");
    let empty = AuditPage { figures: full("").figures, ..AuditPage::default() }.to_html();
    assert!(!empty.contains("<section") && empty.contains("class=\"big up\""));
}

#[test]
fn hostile_strings_stay_text() {
    let (hostile, tame) = (full(HOSTILE).to_html(), full("Tame").to_html());
    for sign in ['<', '>', '"'] {
        assert_eq!(hostile.matches(sign).count(), tame.matches(sign).count(), "{sign} comes out as markup somewhere");
    }
    assert!(hostile.contains("&lt;script&gt;alert(1)") && !hostile.contains('\u{202e}'));
}
