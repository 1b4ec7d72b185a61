//! The sealers: each entry of `MINER_API_INFO` by itself, then who seals for which miner.

use super::finding::Finding;
use crate::config::MinerConfig;
use crate::filecoin::Address;
use crate::rpc::Limits;
use crate::sealer::{LotusMiner, SealerError};

/// One entry as it was found.
pub(super) struct SealerFacts {
    /// Host and port.
    pub name: String,
    /// What it answered, or why not.
    pub seen: Result<Seen, SealerError>,
}

/// What a sealer answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// The miner that it works for.
    pub miner: Address,
    /// The permissions of our token; none if it does not tell.
    pub permissions: Option<Vec<String>>,
}

impl SealerFacts {
    /// A sealer that did not answer in time.
    pub fn late(entry: &str) -> Self {
        let late = "no answer in time, with all that was asked".to_owned();
        Self {
            name: name(entry),
            seen: Err(SealerError::Unreachable(late)),
        }
    }

    fn may_add(&self) -> bool {
        let seen = self.seen.as_ref();
        seen.is_ok_and(|seen| lacks(seen, &["read", "admin"]).is_empty())
    }

    fn works_for(&self, miner: &Address) -> bool {
        self.seen.as_ref().is_ok_and(|seen| seen.miner == *miner)
    }
}

fn name(entry: &str) -> String {
    LotusMiner::new(entry, super::LIMITS).map_or_else(|_| String::new(), |sealer| sealer.name())
}

/// Asks one sealer. Blocks.
pub(super) fn look(entry: &str, limits: Limits) -> SealerFacts {
    // The settings have read the entry: it has a known form.
    let seen = LotusMiner::new(entry, limits)
        .map_err(|error| SealerError::Malformed(error.to_string()))
        .and_then(|sealer| {
            Ok(Seen {
                miner: sealer.actor_address()?,
                permissions: sealer.permissions()?,
            })
        });
    SealerFacts {
        name: name(entry),
        seen,
    }
}

/// Those of the needed permissions that the token does not have.
fn lacks<'n>(seen: &Seen, needed: &[&'n str]) -> Vec<&'n str> {
    let Some(permissions) = &seen.permissions else {
        return Vec::new();
    };
    let has = |name: &str| permissions.iter().any(|one| one == name);
    needed.iter().copied().filter(|name| !has(name)).collect()
}

/// One line per entry. What an entry lacks is bad if a miner of ours has no other way to its sectors.
pub(super) fn judge(sealers: &[SealerFacts], miners: &[MinerConfig]) -> Vec<Finding> {
    let without = miners.iter().any(|miner| {
        miner.handover_dir.is_none() && !sealers.iter().any(|one| one.works_for(&miner.address))
    });
    sealers
        .iter()
        .map(|sealer| line(sealer, miners, without))
        .collect()
}

fn line(sealer: &SealerFacts, miners: &[MinerConfig], without: bool) -> Finding {
    let subject = format!("sealer {}", sealer.name);
    let seen = match &sealer.seen {
        Ok(seen) => seen,
        Err(error) => {
            let (what, advice) = trouble(error);
            return Finding::wrong(without, &subject, what, advice);
        }
    };
    let Some(miner) = miners.iter().find(|miner| miner.address == seen.miner) else {
        return Finding::wrong(
            without,
            &subject,
            format!("works for {}, which is not in CORACLE_MINERS", seen.miner),
            "add the miner to CORACLE_MINERS, or set MINER_API_INFO to the sealer of one that is in it",
        );
    };
    let pulls = miner.handover_dir.is_some();
    let needed: &[&str] = if pulls { &["read"] } else { &["read", "admin"] };
    let lacking = lacks(seen, needed);
    if !lacking.is_empty() {
        return Finding::bad(
            &subject,
            format!(
                "works for {}, but its token lacks the permission `{}`",
                seen.miner,
                lacking.join("` and `")
            ),
            "set MINER_API_INFO to what `lotus-miner auth api-info --perm admin` prints: adding pieces needs `admin`",
        );
    }
    let may = match &seen.permissions {
        Some(permissions) => format!("the token may {}", permissions.join(", ")),
        None => "it does not tell what the token may do".to_owned(),
    };
    Finding::ok(&subject, format!("works for {}; {may}", seen.miner))
}

fn trouble(error: &SealerError) -> (String, &'static str) {
    match error {
        SealerError::Unauthorized => (
            "does not accept the token (HTTP 401): it is wrong, of another miner, or has expired"
                .to_owned(),
            "set MINER_API_INFO to what `lotus-miner auth api-info --perm admin` prints on the miner",
        ),
        SealerError::Unreachable(_) => (
            error.to_string(),
            "start lotus-miner, correct MINER_API_INFO, or let it listen on an address that this box reaches",
        ),
        _ => (
            error.to_string(),
            "is this entry of MINER_API_INFO the address of a lotus-miner, not of a chain node, and may its token `read`?",
        ),
    }
}

/// Who seals for a miner.
pub(super) fn of_miner(miner: &MinerConfig, sealers: &[SealerFacts]) -> Finding {
    let subject = format!("{} sealer", miner.address);
    let own: Vec<&SealerFacts> = sealers
        .iter()
        .filter(|sealer| sealer.works_for(&miner.address))
        .collect();
    if let Some(directory) = &miner.handover_dir {
        return Finding::ok(
            &subject,
            format!("fetches its pieces from {}", directory.display()),
        );
    }
    let Some(first) = own.first() else {
        let silent = sealers.iter().filter(|sealer| sealer.seen.is_err()).count();
        let silent = match silent {
            0 => String::new(),
            number => format!(" ({number} of {} did not answer)", sealers.len()),
        };
        return Finding::bad(
            &subject,
            format!(
                "no entry of MINER_API_INFO belongs to {}{silent}",
                miner.address
            ),
            "add what `lotus-miner auth api-info --perm admin` prints on this miner to MINER_API_INFO, separated by a comma",
        );
    };
    if !first.may_add() {
        return Finding::bad(
            &subject,
            format!("{} may not be given pieces with its token", first.name),
            "see the line of this sealer",
        );
    }
    Finding::ok(&subject, format!("pieces go to {}", first.name))
}
