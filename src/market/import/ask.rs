//! Asking for imports: what is refused at once, and what waits on disk for its turn.

use crate::deal::Import;
use crate::deal::step::import_refusal;
use crate::market::Handle;
use crate::market::inputs::{Input, Placed};
use crate::store::Store;
use futures::channel::oneshot;
use uuid::Uuid;

/// Imports in one call: bounds the commit that they share and the time that the run loop spends on them.
pub const IMPORTS_MAX: usize = 1_000;

/// Bytes of a path: what the operating system takes.
const PATH_BYTES_MAX: usize = 4_096;

impl Handle {
    /// Lets imports wait for their turn, in this order; answers for each its position in the queue (1 is next) or why it
    /// is refused: a deal that is not known, not offline, or imported already (spec boost-mk12 4.9), or a path that is not
    /// absolute. When it answers, the queue is on disk. What the files are is found out at their turn.
    ///
    /// # Errors
    /// There are more than [`IMPORTS_MAX`], or the market has stopped.
    pub async fn import(&self, imports: Vec<(Uuid, Import)>) -> Result<Vec<Placed>, String> {
        if imports.len() > IMPORTS_MAX {
            return Err(format!(
                "{} imports at once are too many: at most {IMPORTS_MAX} in one call",
                imports.len()
            ));
        }
        let uuids: Vec<Uuid> = imports.iter().map(|(uuid, _)| *uuid).collect();
        let mut told: Vec<Option<Placed>> = imports
            .iter()
            .map(|(_, import)| bad_path(&import.path).map(Err))
            .collect();
        let sound = imports
            .into_iter()
            .zip(&told)
            .filter(|(_, told)| told.is_none())
            .map(|(import, _)| import)
            .collect();
        let (reply, answer) = oneshot::channel();
        let stopped = || "the provider is stopping".to_owned();
        self.inputs
            .send(Input::Import(sound, reply))
            .await
            .map_err(|_| stopped())?;
        let mut placed = answer.await.map_err(|_| stopped())?.into_iter();
        for told in told.iter_mut().filter(|told| told.is_none()) {
            *told = placed.next().flatten();
        }
        // What is not live has ended, or never was.
        let unknown: Vec<Uuid> = uuids
            .iter()
            .zip(&told)
            .filter(|(_, told)| told.is_none())
            .map(|(uuid, _)| *uuid)
            .collect();
        let mut reasons = Vec::new().into_iter();
        if !unknown.is_empty() {
            let read = self.read(move |store| {
                Ok(unknown
                    .into_iter()
                    .map(|uuid| not_live(store, uuid))
                    .collect::<Vec<_>>())
            });
            reasons = read.await.map_err(|error| error.to_string())?.into_iter();
        }
        Ok(told
            .into_iter()
            .map(|told| told.or_else(|| reasons.next().map(Err)))
            .map(|told| told.unwrap_or_else(|| Err(stopped())))
            .collect())
    }
}

/// Why a deal that is not live cannot be imported.
fn not_live(store: &dyn Store, uuid: Uuid) -> String {
    match store.deal(uuid) {
        Ok(Some(deal)) => import_refusal(&deal, true).unwrap_or_default(),
        Ok(None) => format!("no pre-existing deal proposal for offline deal {uuid}"),
        Err(error) => error.to_string(),
    }
}

/// What is wrong with the path itself, whatever lies there.
fn bad_path(path: &str) -> Option<String> {
    if path.len() > PATH_BYTES_MAX || path.contains('\0') {
        return Some("the path is not one that a file can have".to_owned());
    }
    // The provider's working directory is not the operator's.
    (!path.starts_with('/')).then(|| format!("the path must be absolute: {path:?}"))
}
