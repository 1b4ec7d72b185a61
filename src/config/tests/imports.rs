//! The settings of imports and of the drop folder.

use super::{errors, good};
use std::time::Duration;

#[test]
fn nothing_is_imported_by_itself_unless_a_folder_is_named() {
    let config = good(&[]);
    assert_eq!((config.imports_max, config.drop_folder), (1, None));
    assert!(!config.drop_delete, "it may be the only copy");
    let config = good(&[
        ("CORACLE_DROP_FOLDER", "drops"),
        ("CORACLE_DROP_POLL", "1m"),
        ("CORACLE_DROP_DELETE", "true"),
        ("CORACLE_IMPORTS_MAX", "3"),
    ]);
    assert_eq!(config.drop_folder, Some(config.home.join("drops")));
    assert_eq!(config.drop_poll, Duration::from_secs(60));
    assert!(config.drop_delete);
    assert_eq!(config.imports_max, 3);
}

#[test]
fn files_are_not_dropped_where_coracle_deletes() {
    for (directory, name) in [("staging", "CORACLE_STAGING"), ("pieces", "CORACLE_PIECES")] {
        assert_eq!(
            errors(&[("CORACLE_DROP_FOLDER", directory)]),
            [format!(
                "CORACLE_DROP_FOLDER: is the same directory as {name}, whose files are deleted"
            )]
        );
    }
}
