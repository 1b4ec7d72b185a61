//! The help texts: one entry per command, the synopsis of all of them made from the entries.

use std::ffi::OsString;
use std::fmt::Write as _;

/// One command as help shows it.
#[derive(Debug)]
pub struct Entry {
    /// What is typed after `coracle`.
    pub name: &'static str,
    /// One line: what it does.
    pub about: &'static str,
    /// Its forms and options.
    pub usage: &'static str,
}

/// Every command group, in the order of a first acquaintance.
pub const GROUPS: &[Entry] = &[
    Entry {
        name: "demo",
        about: "a whole deal in one process: pack, serve, propose, follow, retrieve, compare",
        usage: "coracle demo [FILE|DIR] [--offline] [--keep DIR] [--json]

  FILE|DIR     what to store; without it 8 MiB of generated files
  --offline    an offline deal: the data is imported instead of downloaded
  --keep DIR   keep the files of the run there
  --json       one JSON object per event",
    },
    Entry {
        name: "run",
        about: "the provider",
        usage: "coracle run

  Settings come from the environment and from coracle.env in the home directory:
  `coracle settings` lists them. SIGINT or SIGTERM stops it; what it was doing
  goes on at the next start.",
    },
    Entry {
        name: "check",
        about: "look at everything a deal needs, and say what is wrong and what to do",
        usage: "coracle check [--json]

  Chain nodes, tokens, sealers, each miner's wallet, escrow and contact on chain, this
  box's keys, disks, clock and addresses. Nothing is changed. It takes the settings of
  `coracle run` and works beside a running provider and without one.
  Ends with 1 if a deal could not succeed; warnings alone end with 0.",
    },
    Entry {
        name: "devnet",
        about: "a stand-in chain node and miner on loopback, to try things against",
        usage:
            "coracle devnet [--epoch MILLISECONDS] [--miners N] [--clients N] [--node KIND] [--auth]
               [--port N] [--json]

  --epoch MILLISECONDS   length of an epoch (1000)
  --miners N             miners, from f01000 on (1)
  --clients N            clients beside the three that are always there (0)
  --node KIND            answer as lotus, forest, venus or gateway does (lotus)
  --auth                 enforce the tokens' permissions
  --port N               the node's port, the miners' follow; without it free ones

  Prints FULLNODE_API_INFO, MINER_API_INFO and funded test wallets, then runs
  until interrupted.",
    },
    Entry {
        name: "deal",
        about: "the deals of the running provider",
        usage: "coracle deal list [--limit N] [--state CHECKPOINT] [--query TEXT] [--json]
coracle deal list --refused [--limit N] [--json]
coracle deal show UUID [--json]
coracle deal log UUID [-f|--follow] [--json]
coracle deal retry|cancel|fail UUID [--json]
coracle deal sealed UUID --sector N [--offset BYTES] [--json]

  --refused  proposals that were not taken, newest first, and why; the last 1,000 are kept
  log -f   prints new lines until the deal has ended; with --json one object per line
  retry    take up a deal that waits for a decision
  cancel   stop its transfer and end the deal
  fail     end a deal that waits for a decision
  sealed   where the sealer put a piece that it fetched from CORACLE_HANDOVER_DIR; the offset
           is in padded bytes",
    },
    Entry {
        name: "import",
        about: "give the data of an offline deal to the running provider",
        usage: "coracle import UUID FILE [UUID FILE]... [--delete-after-import] [--json]
coracle import --list FILE|- [--delete-after-import] [--json]

  An import waits for its turn; its place in the queue is printed. FILE is read in place
  by the provider, so it must be able to open it.
  --list FILE             lines `UUID PATH`; `-` reads them from standard input
  --delete-after-import   remove FILE once the sealer has its piece",
    },
    Entry {
        name: "publish",
        about: "what waits to be published, and publishing it now",
        usage: "coracle publish [--json]
coracle publish --now [UUID]... [--json]

  --now   publish all that wait, or the named deals only; with CORACLE_PUBLISH_MANUAL
          nothing is published otherwise",
    },
    Entry {
        name: "ask",
        about: "what the running provider asks for, and changing it",
        usage: "coracle ask [MINER] [--json]
coracle ask set [MINER] [--price PRICE] [--verified-price PRICE] [--min-piece-size SIZE]
        [--max-piece-size SIZE] [--expiry EPOCH | --valid-for EPOCHS | --no-expiry] [--json]

  MINER        may be left out where the provider has only one
  PRICE        attoFIL per GiB and epoch, 50000000, or with a unit, 0.00000005FIL
  SIZE         padded: a power of two, 32GiB, at most the miner's sector size
  --expiry     proposals are refused from this epoch on
  --valid-for  the same, so many epochs from now: 2880, or 24h
  --no-expiry  the ask is renewed before it expires, as it is at first",
    },
    Entry {
        name: "funds",
        about: "the miners' money: escrow, wallets, fees; moving it in and out of escrow",
        usage: "coracle funds [MINER] [--json]
coracle funds add AMOUNT [--miner MINER] [--from ADDRESS] [--id UUID] [--no-wait] [--json]
coracle funds withdraw AMOUNT|--all [--miner MINER] [--from ADDRESS] [--id UUID] [--no-wait]
        [--json]
coracle funds show UUID [--json]

  AMOUNT     FIL, 0.5, or with a unit: 0.5FIL, 500attoFIL
  --miner    may be left out where the provider has only one
  --from     add: who pays, instead of the publish wallet; withdraw: owner or worker
  --all      all that live deals do not hold
  --id       the order's own ID, printed first: the same command with it again is the same
             order, sent once however often it is given
  --no-wait  do not wait until the message is executed and buried; `show` tells

  What is withdrawn goes to the miner's owner, whoever sends the message. What live deals
  hold is not withdrawn.",
    },
    Entry {
        name: "client",
        about: "propose deals and ask about them",
        usage: "coracle client deal --provider F0… --commp CID --piece-size N --payload-cid CID
        --http-url URL --car-size N [--http-headers K=V]… [OPTIONS]
coracle client offline-deal --provider F0… --commp CID --piece-size N --payload-cid CID [OPTIONS]
coracle client status --provider F0… --deal-uuid UUID [--wallet ADDRESS]
coracle client ask F0… [--size N] [--duration EPOCHS]
coracle client transports F0…

  --peer MULTIADDR/p2p/ID             skip the look-up on chain
  --start-epoch N | --start-epoch-head-offset N (5760)
  --duration EPOCHS (518400)          --provider-collateral ATTOFIL
  --storage-price ATTOFIL per epoch and GiB (the provider's ask)
  --verified true|false (true)        --wallet ADDRESS
  --remove-unsealed-copy              --skip-ipni-announce
  --json",
    },
    Entry {
        name: "wallet",
        about: "keys in the home directory, in Lotus's format",
        usage: "coracle wallet new [secp256k1|bls] [--json]
coracle wallet list [--json]
coracle wallet import [FILE] [--format hex-lotus|json-lotus] [--json]
coracle wallet export ADDRESS
coracle wallet sign ADDRESS HEX [--json]",
    },
    Entry {
        name: "commp",
        about: "the piece commitment of a file",
        usage: "coracle commp FILE|- [--threads N] [--kernel NAME] [--verbose] [--json]

  --threads  as many as cores unless given; a file is cut into subtrees of 8 MiB
  --kernel   as CORACLE_SHA_KERNEL
  --verbose  also kernel, threads and seconds",
    },
    Entry {
        name: "car",
        about: "pack files into a CAR, look into one",
        usage: "coracle car pack FILE|DIR [-o|--output OUTPUT] [--hidden] [--json]
coracle car list FILE [--json]
coracle car verify FILE [--json]
coracle car index FILE [-o|--output OUTPUT] [--json]

  pack    follows the UnixFS profile unixfs-v1-2025
  list    CID, offset and size of every block; with --json one object per line
  verify  compares every block with its CID
  index   writes a 0x0401 index and a file of block sizes beside it",
    },
    Entry {
        name: "settings",
        about: "every setting with its default, and what it is set to",
        usage: "coracle settings [--markdown | --json]",
    },
];

/// The help for these arguments: that of the first word, if it is a command, else the overview.
pub fn text(args: &[OsString]) -> String {
    let first = args
        .iter()
        .filter_map(|arg| arg.to_str())
        .find(|arg| !arg.starts_with('-'));
    match first.and_then(|name| GROUPS.iter().find(|entry| entry.name == name)) {
        Some(entry) => format!(
            "coracle {}: {}\n\n{}\n",
            entry.name, entry.about, entry.usage
        ),
        None => overview(),
    }
}

fn overview() -> String {
    let mut text = format!(
        "coracle {}\nA Filecoin storage provider's market node that fits on a NAS.\n\n\
         Usage: coracle COMMAND [OPTIONS]\n\n",
        super::VERSION
    );
    for entry in GROUPS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<10} {}", entry.name, entry.about);
    }
    text.push_str(
        "\n`coracle COMMAND --help` says more about one of them. Facts come as JSON with --json.\n\
         Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 refused by the other side.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn every_group_is_in_the_overview_and_has_its_own_text() {
        let all = text(&[]);
        for entry in GROUPS {
            assert!(all.contains(entry.about), "{}", entry.name);
            let one = text(&words(&format!("{} --help", entry.name)));
            assert!(one.contains(entry.usage), "{}", entry.name);
            assert!(one.contains(&format!("coracle {}", entry.name)));
        }
    }

    #[test]
    fn an_unknown_command_gets_the_overview() {
        assert_eq!(text(&words("frobnicate --help")), text(&[]));
        assert_eq!(text(&words("--help")), text(&[]));
    }

    #[test]
    fn lines_fit_a_terminal() {
        for entry in GROUPS {
            for line in entry.usage.lines().chain(text(&[]).lines()) {
                assert!(line.chars().count() <= 100, "{line}");
            }
        }
    }
}
