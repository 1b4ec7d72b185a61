//! `coracle import`: gives the data of an offline deal to the running provider.

use super::admin_client::Admin;
use super::{Failure, args, deal, terminal};
use serde_json::json;
use std::path::Path;

/// Runs `coracle import UUID FILE`.
pub fn run(mut arguments: pico_args::Arguments) -> Result<(), Failure> {
    let json = arguments.contains("--json");
    let delete = arguments.contains("--delete-after-import");
    let uuid = deal::uuid(&mut arguments)?;
    let file = args::required(&mut arguments, "the file with the deal's data")?;
    args::finish(arguments)?;
    // The provider has another working directory.
    let path = std::path::absolute(Path::new(&file))
        .map_err(|error| Failure::Usage(format!("{file}: {error}")))?;
    let Some(path) = path.to_str() else {
        return Err(Failure::Usage(format!(
            "the path of {file} is no UTF-8 text"
        )));
    };
    let body = json!({ "path": path, "delete_after_import": delete });
    let answer = Admin::connect()?.post(&format!("/v1/deals/{uuid}/import"), &body)?;
    if json {
        terminal::json(&answer);
    } else {
        terminal::line(format_args!("deal {uuid}: import of {path} begun"));
    }
    Ok(())
}
