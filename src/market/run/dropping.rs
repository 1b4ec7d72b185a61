//! The drop folder inside the run loop: when it is looked at, and what is imported.

use super::{Market, millis};
use crate::deal::{Import, Millis};
use crate::market::IMPORTS_MAX;
use crate::market::import::{Dropped, Memory, Wanted, look_at_folder};
use crate::market::inputs::Report;
use futures::channel::oneshot;
use std::sync::Arc;
use uuid::Uuid;

/// Stack of the thread that looks.
const STACK_BYTES: usize = 256 * 1024;

/// The folder as the loop knows it.
#[derive(Default)]
pub(super) struct Dropping {
    /// Out of our hands while a look is under way.
    memory: Option<Memory>,
    looking: bool,
    next: Millis,
}

impl Dropping {
    /// When the folder is to be looked at; never if that is under way.
    pub(super) fn due(&self) -> Option<Millis> {
        (!self.looking).then_some(self.next)
    }

    pub(super) fn clock_set_back(&mut self, now: Millis) {
        self.next = now;
    }
}

impl Market {
    /// Looks at the drop folder if there is one, it is time, and a deal waits for data.
    pub(super) fn look_at_drops(&mut self, now: Millis) {
        let Some(folder) = self.settings.drop_folder.clone() else {
            return;
        };
        if self.dropping.due().is_none_or(|due| due > now) {
            return;
        }
        self.dropping.next = now.saturating_add(millis(folder.poll));
        let wanted = Wanted::by(self.live.deals());
        if wanted.is_empty() {
            return;
        }
        self.dropping.looking = true;
        let mut memory = self.dropping.memory.take().unwrap_or_default();
        let (disk, told) = (Arc::clone(&self.parts.disk), self.reports.clone());
        let started = self.threads.own.start("folder", STACK_BYTES, move || {
            let dropped = look_at_folder(&folder.path, &wanted, &mut memory, disk.as_ref());
            let _ = told.try_send(Report::Dropped(Box::new(memory), dropped));
        });
        if let Err(error) = started {
            log::error!("no thread to look at CORACLE_DROP_FOLDER: {error}");
            self.dropping.looking = false;
        }
    }

    /// The folder was looked at: complete files are imported for the deals that they are for.
    pub(super) fn dropped(&mut self, memory: Memory, dropped: Vec<Dropped>) {
        self.dropping.memory = Some(memory);
        self.dropping.looking = false;
        let delete_after = self
            .settings
            .drop_folder
            .as_ref()
            .is_some_and(|folder| folder.delete_after);
        let mut imports: Vec<(Uuid, Import)> = Vec::new();
        for (path, deals) in dropped {
            let Some(path) = path.to_str() else {
                log::error!("CORACLE_DROP_FOLDER: {} is no UTF-8 text", path.display());
                continue;
            };
            log::info!("{path} was dropped");
            let import = |uuid| (uuid, Import::new(path, delete_after));
            imports.extend(deals.into_iter().map(import));
        }
        // Of very many deals for few files, the others are found by the next looks.
        imports.truncate(IMPORTS_MAX);
        if !imports.is_empty() {
            // Nobody waits for the answer. A deal that was imported by hand meanwhile refuses, as it should.
            self.import(imports, oneshot::channel().0);
        }
    }
}
