//! Every setting, once: name, default, unit, meaning, parser.
//!
//! `coracle settings`, the README's table and the validation are made from this.

use super::setting::{Setting, miner, provider};
use super::{parties, values};
use crate::market::FilterCommand;
use crate::rpc::{Authorities, Endpoint, Version};
use crate::transfer::check_private_url;

/// Writes a parsed value to its place.
fn put<T>(place: &mut T, value: Result<T, String>) -> Result<(), String> {
    *place = value?;
    Ok(())
}

/// All of them, in the order in which an operator meets them.
pub static SETTINGS: &[Setting] = &[
    // What it serves.
    provider(
        "CORACLE_MINERS",
        "",
        "addresses",
        "the miners that deals are taken for: ID addresses (f01234), separated by commas",
        parties::miners,
    )
    .required(),
    provider(
        "FULLNODE_API_INFO",
        "",
        "token:address",
        "the chain node, as `lotus auth api-info` prints it",
        |config, text| {
            Endpoint::parse_list(text, Version::V1).map_err(|error| error.to_string())?;
            put(&mut config.fullnode_api_info, Ok(text.trim().to_owned()))
        },
    )
    .required()
    .secret(),
    provider(
        "MINER_API_INFO",
        "",
        "token:address",
        "the sealers, as `lotus-miner auth api-info` prints them, separated by commas; \
         each says itself which miner it is; not needed for miners with CORACLE_HANDOVER_DIR",
        parties::sealers,
    )
    .secret(),
    provider(
        "CORACLE_CA_FILE",
        "",
        "file",
        "PEM certificates of the authorities that chain node and sealers over HTTPS may have theirs from, in place of the \
         public ones; for private nodes",
        |config, text| {
            let file = config.home.join(text.trim());
            let read = Authorities::read(&file).map(Some);
            put(
                &mut config.authorities,
                read.map_err(|why| format!("{}: {why}", file.display())),
            )
        },
    ),
    // Where its files are.
    provider(
        "CORACLE_HOME",
        "",
        "directory",
        "database, keys, tokens and `coracle.env`; without it `.coracle` in the user's home",
        // It is read before all others, because `coracle.env` is there.
        |_, _| Ok(()),
    ),
    provider(
        "CORACLE_STAGING",
        "staging",
        "directory",
        "data on its way in, relative to the home directory: it needs the large disk, the home does not",
        |config, text| put(&mut config.staging, Ok(config.home.join(text.trim()))),
    ),
    provider(
        "CORACLE_PIECES",
        "pieces",
        "directory",
        "data that was handed over and is still served; on the disk of CORACLE_STAGING moving there is free",
        |config, text| put(&mut config.pieces, Ok(config.home.join(text.trim()))),
    ),
    provider(
        "CORACLE_LIBP2P_KEY_FILE",
        "libp2p.key",
        "file",
        "the libp2p private key; a named one must be there (bring the one whose peer ID is on chain), \
         the default one is made at the first start",
        |config, text| {
            put(
                &mut config.libp2p_key_file,
                Ok(config.home.join(text.trim())),
            )
        },
    ),
    // Where it listens.
    provider(
        "CORACLE_LISTEN",
        "/ip4/0.0.0.0/tcp/24001",
        "multiaddrs",
        "where libp2p listens; the port is fixed because it stands on chain",
        |config, text| {
            let read = values::list(text, |item| values::parsed(item, "multiaddr"));
            put(&mut config.listen, read)
        },
    ),
    provider(
        "CORACLE_ANNOUNCE",
        "",
        "multiaddrs",
        "libp2p addresses told to others: behind a router, its public address and forwarded port",
        |config, text| {
            let read = values::list(text, |item| values::parsed(item, "multiaddr"));
            put(&mut config.announce, read)
        },
    ),
    provider(
        "CORACLE_HTTP_LISTEN",
        "0.0.0.0:7777",
        "host:port",
        "where pieces are served over HTTP, to everybody",
        |config, text| {
            put(
                &mut config.http_listen,
                values::parsed(text, "IP address with port"),
            )
        },
    ),
    provider(
        "CORACLE_ADMIN_LISTEN",
        "127.0.0.1:7778",
        "host:port",
        "where this provider takes commands; loopback, because the token crosses it in the clear",
        |config, text| {
            put(
                &mut config.admin_listen,
                values::parsed(text, "IP address with port"),
            )
        },
    ),
    provider(
        "CORACLE_PUBLIC_URL",
        "",
        "URL",
        "under which the world reaches CORACLE_HTTP_LISTEN; without it no HTTP retrieval is offered",
        |config, text| put(&mut config.public_url, values::url(text).map(Some)),
    ),
    provider(
        "CORACLE_SEALER_URL",
        "",
        "URL",
        "under which a sealer fetches pieces from CORACLE_HTTP_LISTEN; without it pieces are pushed to it",
        |config, text| put(&mut config.sealer_url, values::url(text).map(Some)),
    ),
    miner(
        "CORACLE_HANDOVER_DIR",
        "",
        "directory",
        "where a sealer that pulls finds its pieces as files, on the file system of CORACLE_STAGING; \
         without it they are given to MINER_API_INFO's",
        |miner, text| put(&mut miner.handover_dir, values::absolute(text).map(Some)),
    ),
    // What it takes.
    miner(
        "CORACLE_CONSIDER_ONLINE",
        "true",
        "true or false",
        "take deals whose data is downloaded",
        |miner, text| put(&mut miner.consider_online, values::switch(text)),
    ),
    miner(
        "CORACLE_CONSIDER_OFFLINE",
        "true",
        "true or false",
        "take deals whose data is imported",
        |miner, text| put(&mut miner.consider_offline, values::switch(text)),
    ),
    miner(
        "CORACLE_CONSIDER_VERIFIED",
        "true",
        "true or false",
        "take verified deals",
        |miner, text| put(&mut miner.consider_verified, values::switch(text)),
    ),
    miner(
        "CORACLE_CONSIDER_UNVERIFIED",
        "true",
        "true or false",
        "take unverified deals",
        |miner, text| put(&mut miner.consider_unverified, values::switch(text)),
    ),
    miner(
        "CORACLE_PIECE_BLOCKLIST",
        "",
        "CIDs",
        "pieces that are refused",
        |miner, text| {
            put(
                &mut miner.piece_blocklist,
                values::list(text, |item| values::parsed(item, "CID")),
            )
        },
    ),
    miner(
        "CORACLE_CLIENTS_ALLOWED",
        "",
        "addresses",
        "the only clients whose deals are taken, each in any form of its address; without it everybody's are",
        |miner, text| {
            let read = values::list(text, values::address);
            put(&mut miner.clients_allowed, read)
        },
    ),
    miner(
        "CORACLE_CLIENTS_DENIED",
        "",
        "addresses",
        "clients whose deals are refused, each in any form of its address; wins over CORACLE_CLIENTS_ALLOWED",
        |miner, text| {
            let read = values::list(text, values::address);
            put(&mut miner.clients_denied, read)
        },
    ),
    miner(
        "CORACLE_FILTER",
        "",
        "shell command",
        "looks at each proposal, as JSON on its standard input: exit code 0 takes it, another one refuses it with what \
         was printed; it does not inherit the settings that are secrets",
        |miner, text| {
            let command = text.trim().to_owned();
            let given = (!command.is_empty()).then_some(FilterCommand(command));
            put(&mut miner.filter, Ok(given))
        },
    ),
    miner(
        "CORACLE_FILTER_TIMEOUT",
        "1s",
        "duration",
        "the longest that CORACLE_FILTER may run, up to 1m: the client waits meanwhile, and many give up after a few seconds",
        |miner, text| put(&mut miner.filter_timeout, values::filter_timeout(text)),
    ),
    miner(
        "CORACLE_FILTER_LATE",
        "refuse",
        "refuse or accept",
        "what becomes of a proposal when CORACLE_FILTER takes longer and is killed",
        |miner, text| put(&mut miner.filter_late_accepts, values::late(text)),
    ),
    miner(
        "CORACLE_ASK_PRICE",
        "50000000 attoFIL",
        "FIL",
        "asked of unverified deals in a miner's first ask, per epoch and GiB; the default is the one in use elsewhere",
        |miner, text| put(&mut miner.ask_price, values::amount(text)),
    ),
    miner(
        "CORACLE_ASK_VERIFIED_PRICE",
        "5000000 attoFIL",
        "FIL",
        "asked of verified deals in a miner's first ask, per epoch and GiB; the default is the one in use elsewhere",
        |miner, text| put(&mut miner.ask_verified_price, values::amount(text)),
    ),
    miner(
        "CORACLE_PIECE_SIZE_MIN",
        "256",
        "bytes",
        "the smallest padded piece in a miner's first ask",
        |miner, text| put(&mut miner.piece_size_min, values::piece_size(text)),
    ),
    miner(
        "CORACLE_PIECE_SIZE_MAX",
        "32GiB",
        "bytes",
        "the largest padded piece in a miner's first ask; the sector size is a limit besides",
        |miner, text| put(&mut miner.piece_size_max, values::piece_size(text)),
    ),
    miner(
        "CORACLE_EXPECTED_SEAL_DURATION",
        "24h",
        "epochs",
        "a deal must start this much after its proposal, or it could not be sealed in time",
        |miner, text| put(&mut miner.expected_seal_duration, values::epochs(text)),
    ),
    miner(
        "CORACLE_START_DELAY_MAX",
        "14d",
        "epochs",
        "a deal with download must start within this time, so that funds and space are not held for longer",
        |miner, text| put(&mut miner.start_delay_max, values::epochs(text)),
    ),
    // Transfers.
    provider(
        "CORACLE_STAGING_BYTES_MAX",
        "100GiB",
        "bytes",
        "what deals may reserve in CORACLE_STAGING, 0 for no limit; the default holds three pieces of 32 GiB",
        |config, text| put(&mut config.staging_bytes_max, values::bytes(text)),
    ),
    provider(
        "CORACLE_STAGING_CLIENT_BYTES_MAX",
        "0",
        "bytes",
        "what the deals of one client may reserve of it, 0 for no limit of its own",
        |config, text| put(&mut config.staging_client_bytes_max, values::bytes(text)),
    ),
    provider(
        "CORACLE_STAGING_HOST_PERCENT_MAX",
        "0",
        "percent",
        "the share of CORACLE_STAGING_BYTES_MAX that downloads from one host may reserve, 0 for no limit of its own",
        |config, text| {
            put(
                &mut config.staging_host_percent_max,
                values::count(text, 0, 100),
            )
        },
    ),
    provider(
        "CORACLE_KEEP_PIECES_BYTES_MAX",
        "100GiB",
        "bytes",
        "what handed-over data may fill in CORACLE_PIECES; the oldest goes first, 0 keeps none",
        |config, text| put(&mut config.keep_pieces_bytes_max, values::bytes(text)),
    ),
    provider(
        "CORACLE_TRANSFERS_MAX",
        "2",
        "number",
        "downloads at the same time; a NAS disk writes few files well",
        // A thread each: more than this is no NAS.
        |config, text| put(&mut config.transfers_max, values::count(text, 1, 64)),
    ),
    provider(
        "CORACLE_SHA_KERNEL",
        "auto",
        "name",
        "how pieces are hashed: `auto` takes the fastest that the processor has; \
         `sha`, `avx2`, `sha2`, `portable` or `reference` force one, to compare or to get around a fault",
        |config, text| put(&mut config.sha_kernel, values::kernel(text)),
    ),
    provider(
        "CORACLE_IMPORTS_MAX",
        "1",
        "number",
        "imported files read at the same time, the others wait in their order; a disk reads one file best",
        // A thread each: more than this is no NAS.
        |config, text| put(&mut config.imports_max, values::count(text, 1, 64)),
    ),
    provider(
        "CORACLE_DROP_FOLDER",
        "",
        "directory",
        "files put here are imported by themselves: named by a deal's UUID or by a piece CID, `.car` behind it or not; \
         on the disk of CORACLE_PIECES moving from here is free",
        |config, text| {
            let folder = config.home.join(text.trim());
            put(&mut config.drop_folder, Ok(Some(folder)))
        },
    ),
    provider(
        "CORACLE_DROP_POLL",
        "10s",
        "duration",
        "how often CORACLE_DROP_FOLDER is looked at while a deal waits for data; a file is taken when two looks saw it the same",
        |config, text| put(&mut config.drop_poll, values::positive_duration(text)),
    ),
    provider(
        "CORACLE_DROP_DELETE",
        "false",
        "true or false",
        "take a file out of CORACLE_DROP_FOLDER once the sealer has its piece and no other deal needs it; \
         off, because it may be the only copy",
        |config, text| put(&mut config.drop_delete, values::switch(text)),
    ),
    provider(
        "CORACLE_PRIVATE_URLS",
        "",
        "URLs",
        "beginnings of URLs from which downloads are allowed though their address is not public; port `:*` is any",
        |config, text| {
            let read = values::list(text, |item| {
                check_private_url(item).map_err(|error| format!("{item:?}: {error}"))?;
                Ok(item.to_owned())
            });
            put(&mut config.private_urls, read)
        },
    ),
    // Publishing.
    miner(
        "CORACLE_PUBLISH_WALLET",
        "",
        "address",
        "pays for publish messages; without it one of the miner's own addresses",
        |miner, text| put(&mut miner.publish_wallet, values::address(text).map(Some)),
    ),
    miner(
        "CORACLE_PUBLISH_DEALS_MAX",
        "8",
        "number",
        "deals in one publish message; more save gas, and more fail together",
        // Far above what fits into the gas of one block.
        |miner, text| put(&mut miner.publish_deals_max, values::count(text, 1, 256)),
    ),
    miner(
        "CORACLE_PUBLISH_PERIOD",
        "1h",
        "duration",
        "the longest that a deal waits for others to be published with",
        |miner, text| put(&mut miner.publish_period, values::duration(text)),
    ),
    miner(
        "CORACLE_PUBLISH_FEE_MAX",
        "0.05 FIL",
        "FIL",
        "the most that one publish message may cost",
        |miner, text| put(&mut miner.publish_fee_max, values::amount(text)),
    ),
    miner(
        "CORACLE_ESCROW_LOW",
        "0.1 FIL",
        "FIL",
        "less free market escrow than this is warned of in the log, by `coracle funds` and by `coracle check`; 0 for no warning",
        |miner, text| put(&mut miner.escrow_low, values::amount(text)),
    ),
    miner(
        "CORACLE_PUBLISH_CONFIDENCE",
        "10",
        "epochs",
        "epochs on top of a publish message before it counts: fewer are sometimes undone; `finality` waits until none can be",
        |miner, text| put(&mut miner.publish_confidence, values::confidence(text)),
    ),
    miner(
        "CORACLE_PUBLISH_STUCK_EPOCHS",
        "20",
        "epochs",
        "a publish message that waits longer is replaced by one with a higher fee, within CORACLE_PUBLISH_FEE_MAX; 0 never",
        // A node estimates the fee for the next 20 epochs (chain-sealer-rpc C.2): what waits longer offers too little.
        |miner, text| put(&mut miner.publish_stuck_epochs, values::epochs(text)),
    ),
    miner(
        "CORACLE_PUBLISH_MANUAL",
        "false",
        "true/false",
        "nothing is published before `coracle publish --now`",
        |miner, text| put(&mut miner.publish_manual, values::switch(text)),
    ),
    miner(
        "CORACLE_SEALING_BUFFER",
        "480",
        "epochs",
        "a deal this close to its start is no longer published: it could not be sealed in time",
        |miner, text| put(&mut miner.sealing_buffer, values::epochs(text)),
    ),
    miner(
        "CORACLE_RETRY_WAIT",
        "5s",
        "duration",
        "first wait after a failure that goes away by itself; it doubles with each further one up to 10 min",
        |miner, text| put(&mut miner.retry_wait, values::duration(text)),
    ),
    // The rest.
    provider(
        "CORACLE_CHAIN_POLL",
        "30s",
        "duration",
        "how often the head of the chain is read: once per epoch",
        |config, text| put(&mut config.chain_poll, values::positive_duration(text)),
    ),
    provider(
        "CORACLE_DEAL_WATCH",
        "24h",
        "duration",
        "how often a sealed deal is looked at on chain until it ends; 3,600 deals an hour at most",
        |config, text| put(&mut config.deal_watch, values::positive_duration(text)),
    ),
    provider(
        "CORACLE_DB_CACHE_BYTES",
        "8MiB",
        "bytes",
        "the database's cache; the records of 10,000 deals fit",
        |config, text| put(&mut config.db_cache_bytes, values::bytes(text)),
    ),
    provider(
        "CORACLE_LOG",
        "info",
        "level",
        "what is logged to standard error: off, error, warn, info, debug or trace",
        |config, text| {
            let wrong = |_| format!("{text:?} is none of off, error, warn, info, debug, trace");
            put(&mut config.log, text.trim().parse().map_err(wrong))
        },
    ),
];
