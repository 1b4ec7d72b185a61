//! What the client's commands share: flags in the reference's forms, the chain, the provider's address, the keys.

use crate::chain::{Chain, Lotus};
use crate::cli::{Failure, args};
use crate::client::provider::Provider;
use crate::config;
use crate::filecoin::keystore::Keystore;
use crate::filecoin::{Address, SecretKey};
use crate::rpc::{self, Authorities};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::str::FromStr;

/// The chain node's address and token.
const NODE: &str = "FULLNODE_API_INFO";

/// The largest file with a node's address and token.
const NODE_FILE_MAX: u64 = 64 * 1024;

/// Flags that are true when they stand alone, as the reference reads them.
const SWITCHES: [&str; 4] = [
    "--verified",
    "--remove-unsealed-copy",
    "--skip-ipni-announce",
    "--json",
];

/// The arguments of one client command.
pub struct Options {
    arguments: pico_args::Arguments,
    /// Whether the answer is to be JSON.
    pub json: bool,
}

impl Options {
    /// Takes the arguments after the command's name.
    pub fn new(arguments: pico_args::Arguments) -> Self {
        let plain = unified(arguments.finish());
        let mut arguments = pico_args::Arguments::from_vec(plain);
        let json = switch(&mut arguments, "--json").unwrap_or(Some(true)) == Some(true);
        Self { arguments, json }
    }

    /// A flag's value, if the flag is there.
    pub fn value<T>(&mut self, flag: &'static str) -> Result<Option<T>, Failure>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let parsed = self.arguments.opt_value_from_fn(flag, |text| {
            text.parse::<T>().map_err(|error| error.to_string())
        });
        parsed.map_err(|error| match error {
            pico_args::Error::Utf8ArgumentParsingFailed { value, cause } => {
                Failure::Usage(format!("{flag} {value}: {cause}"))
            }
            other => Failure::Usage(other.to_string()),
        })
    }

    /// The value of a flag that must be there.
    pub fn needed<T>(&mut self, flag: &'static str) -> Result<T, Failure>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.value(flag)?
            .ok_or_else(|| Failure::Usage(format!("{flag} is missing")))
    }

    /// Every value of a flag that may be repeated.
    pub fn values(&mut self, flag: &'static str) -> Result<Vec<String>, Failure> {
        Ok(self.arguments.values_from_str(flag)?)
    }

    /// A switch: none if it is not there.
    pub fn switch(&mut self, flag: &'static str) -> Result<Option<bool>, Failure> {
        switch(&mut self.arguments, flag)
    }

    /// The provider: as a flag, or as the first argument.
    pub fn provider(&mut self) -> Result<Address, Failure> {
        if let Some(provider) = self.value("--provider")? {
            return Ok(provider);
        }
        let text = args::required(&mut self.arguments, "the provider's address")?;
        text.parse()
            .map_err(|error| Failure::Usage(format!("{text}: {error}")))
    }

    /// Where the provider is said to be, if it is said.
    pub fn peer(&mut self) -> Result<Option<Provider>, Failure> {
        let text: Option<String> = self.value("--peer")?;
        let parsed = text.map(|text| {
            Provider::parse(&text).map_err(|error| Failure::Usage(format!("--peer {text} {error}")))
        });
        parsed.transpose()
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<(), Failure> {
        args::finish(self.arguments)
    }
}

/// `--flag=value` becomes two arguments, a lone switch gets its value, so that one parser reads every form.
fn unified(given: Vec<OsString>) -> Vec<OsString> {
    let mut plain: Vec<OsString> = Vec::new();
    let mut rest = given.into_iter().peekable();
    while let Some(argument) = rest.next() {
        if let Some((flag, value)) = argument.to_str().and_then(|text| text.split_once('='))
            && flag.starts_with("--")
        {
            plain.extend([flag.into(), value.into()]);
            continue;
        }
        let is_switch = SWITCHES.iter().any(|switch| argument == *switch);
        plain.push(argument);
        let answered = rest
            .peek()
            .is_some_and(|next| next == "true" || next == "false");
        if is_switch && !answered {
            plain.push("true".into());
        }
    }
    plain
}

fn switch(
    arguments: &mut pico_args::Arguments,
    flag: &'static str,
) -> Result<Option<bool>, Failure> {
    let text: Option<String> = arguments.opt_value_from_str(flag)?;
    match text.as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(Failure::Usage(format!(
            "{flag} {other}: neither true nor false"
        ))),
    }
}

/// Where the provider is: said, or asked from the chain.
pub fn locate(miner: &Address, said: Option<Provider>) -> Result<Provider, Failure> {
    if let Some(provider) = said {
        return Ok(provider);
    }
    let contact = chain("or --peer MULTIADDR/p2p/ID")?
        .provider_contact(miner)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    Provider::from_contact(miner, &contact).map_err(|error| Failure::Failed(error.to_string()))
}

/// The chain node of `FULLNODE_API_INFO`; `instead` says what would do without it.
pub fn chain(instead: &str) -> Result<Lotus, Failure> {
    let text = node_text()?
        .ok_or_else(|| Failure::Usage(format!("{NODE} is not set; set it, {instead}")))?;
    trust_own_authorities()?;
    Lotus::new(&text, None, BTreeMap::new())
        .map_err(|error| Failure::Usage(format!("{NODE} {error}")))
}

/// Who vouches for the node over HTTPS, if it is not a public authority; the file's path is as given here, a client has no
/// home directory to begin at.
fn trust_own_authorities() -> Result<(), Failure> {
    const NAME: &str = "CORACLE_CA_FILE";
    let Some(file) = std::env::var_os(NAME).filter(|file| !file.is_empty()) else {
        return Ok(());
    };
    let authorities = Authorities::read(std::path::Path::new(&file))
        .map_err(|why| Failure::Usage(format!("{NAME}: {}: {why}", file.display())))?;
    rpc::trust(&authorities);
    Ok(())
}

/// The variable itself, or the content of the file that `FULLNODE_API_INFO_FILE` names.
fn node_text() -> Result<Option<String>, Failure> {
    use std::io::Read as _;
    let set = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|text| !text.trim().is_empty())
    };
    if let Some(text) = set(NODE) {
        return Ok(Some(text));
    }
    let variable = format!("{NODE}_FILE");
    let Some(path) = set(&variable) else {
        return Ok(None);
    };
    let mut text = String::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(NODE_FILE_MAX).read_to_string(&mut text))
        .map_err(|error| Failure::Usage(format!("{variable}: {path}: {error}")))?;
    Ok(Some(text.trim().to_owned()))
}

/// The key that signs: the named one, or the only one there is.
pub fn key(wallet: Option<&Address>) -> Result<SecretKey, Failure> {
    let home = config::home(&|name| std::env::var(name).ok());
    let home = home.map_err(|error| Failure::Usage(error.to_string()))?;
    choose(&Keystore::new(&home), wallet)
}

fn choose(keystore: &Keystore, wallet: Option<&Address>) -> Result<SecretKey, Failure> {
    let place = keystore.directory().display();
    let address = if let Some(named) = wallet {
        named.clone()
    } else {
        only_key(keystore)?
    };
    let key = keystore.get(&address)?;
    key.ok_or_else(|| Failure::Usage(format!("there is no key of {address} in {place}")))
}

fn only_key(keystore: &Keystore) -> Result<Address, Failure> {
    let place = keystore.directory().display();
    let mut keys = keystore.list()?;
    match (keys.pop(), keys.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(Failure::Usage(format!(
            "there are several keys in {place}; --wallet ADDRESS names one"
        ))),
        (None, _) => Err(Failure::Usage(format!(
            "there is no key in {place}; `coracle wallet new` makes one"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Options {
        let words = text.split_whitespace().map(OsString::from).collect();
        Options::new(pico_args::Arguments::from_vec(words))
    }

    #[test]
    fn switches_stand_alone_or_have_a_value() {
        for (text, expected) in [
            ("", None),
            ("--verified", Some(true)),
            ("--verified=true", Some(true)),
            ("--verified=false", Some(false)),
            ("--verified false", Some(false)),
            ("--verified --json", Some(true)),
        ] {
            let mut options = options(text);
            assert_eq!(options.switch("--verified").unwrap(), expected, "{text}");
            assert_eq!(options.json, text.contains("json"), "{text}");
            options.finish().unwrap();
        }
        assert!(matches!(
            options("--verified=yes").switch("--verified"),
            Err(Failure::Usage(_))
        ));
    }

    #[test]
    fn values_have_both_forms_and_keep_their_equal_signs() {
        let mut both = options("--size=5 --duration 7 --http-headers A=b=c== --http-headers=D=e");
        assert_eq!(both.value::<u64>("--size").unwrap(), Some(5));
        assert_eq!(both.needed::<u64>("--duration").unwrap(), 7);
        assert_eq!(both.values("--http-headers").unwrap(), ["A=b=c==", "D=e"]);
        both.finish().unwrap();
    }

    #[test]
    fn mistakes_name_their_flag() {
        let text = |result: Result<Option<u64>, Failure>| match result {
            Err(Failure::Usage(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(text(options("--size x").value("--size")).contains("--size x"));
        assert!(text(options("").needed("--size").map(Some)).contains("--size is missing"));
        let mut peer = options("--peer /ip4/1.2.3.4/tcp/5");
        assert!(matches!(peer.peer(), Err(Failure::Usage(text)) if text.contains("/p2p/")));
        assert!(options("--what").finish().is_err());
    }

    #[test]
    fn a_provider_is_a_flag_or_the_first_argument() {
        assert_eq!(
            options("--provider f01234").provider().unwrap(),
            Address::id(1234)
        );
        assert_eq!(
            options("f01234 --json").provider().unwrap(),
            Address::id(1234)
        );
        assert!(matches!(options("x").provider(), Err(Failure::Usage(_))));
        assert!(matches!(options("").provider(), Err(Failure::Usage(_))));
    }

    #[test]
    fn the_only_key_signs_and_of_several_one_is_named() {
        let home = std::env::temp_dir().join(format!("coracle-client-keys-{}", std::process::id()));
        let keystore = Keystore::new(&home);
        let usage = |wallet: Option<&Address>| match choose(&keystore, wallet) {
            Err(Failure::Usage(text)) => text,
            other => panic!("{:?}", other.map(|key| key.address())),
        };
        assert!(usage(None).contains("wallet new"));
        let first = SecretKey::secp256k1(&[5; 32]).unwrap();
        let second = SecretKey::bls(&[6; 32]).unwrap();
        keystore.put(&first).unwrap();
        let chosen = |wallet| choose(&keystore, wallet).unwrap().address();
        assert_eq!(chosen(None), first.address());
        assert!(usage(Some(&second.address())).contains(&second.address().to_string()));
        keystore.put(&second).unwrap();
        assert!(usage(None).contains("--wallet"));
        assert_eq!(chosen(Some(&second.address())), second.address());
        std::fs::remove_dir_all(&home).unwrap();
    }
}
