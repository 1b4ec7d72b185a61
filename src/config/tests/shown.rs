//! The settings for people and for documents.

use super::*;

#[test]
fn the_report_names_origin_and_overrides() {
    let (rows, errors) = report::rows(vars(&[
        ("CORACLE_HOME", "/nonexistent"),
        ("CORACLE_MINERS", "f01000"),
        ("CORACLE_PUBLISH_PERIOD_F01000", "5m"),
    ]));
    let of = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    assert_eq!(
        (
            of("CORACLE_MINERS").given.as_deref(),
            &*of("CORACLE_MINERS").origin
        ),
        (Some("f01000"), "environment")
    );
    assert_eq!(
        (
            of("CORACLE_PUBLISH_PERIOD").given.as_deref(),
            &*of("CORACLE_PUBLISH_PERIOD").origin
        ),
        (None, "default")
    );
    assert_eq!(
        of("CORACLE_PUBLISH_PERIOD_F01000").given.as_deref(),
        Some("5m")
    );
    assert_eq!(rows.len(), SETTINGS.len() + 1);
    assert_eq!(errors.unwrap().all.len(), 2);
}

#[test]
fn the_markdown_has_a_row_per_setting() {
    let text = report::markdown();
    for setting in SETTINGS {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{}`", setting.name)));
        assert_eq!(
            row.map(|row| row.matches(" | ").count()),
            Some(3),
            "{}",
            setting.name
        );
    }
    assert!(text.contains("| `CORACLE_MINERS` | (required) | addresses |"));
    assert!(text.contains("| `CORACLE_PUBLISH_PERIOD` ¹ | `1h` | duration |"));
    assert!(text.contains("| `FULLNODE_API_INFO` ² | (required) |"));
}
