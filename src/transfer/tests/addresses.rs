//! Which of a name's addresses are left to connect to; nothing is connected to here.

use crate::transfer::fetch::Attempt;
use crate::transfer::patience::Patience;
use crate::transfer::resolve::{MAX_ADDRESSES, Resolver};
use crate::transfer::url::{HttpUrl, PrivatePrefix};
use crate::transfer::{Failure, FetchLimits};
use std::net::SocketAddr;
use std::sync::Arc;

/// What is left of these addresses for this URL.
fn left(url: &str, private: &[&str], addresses: &[&str]) -> Result<Vec<String>, Failure> {
    let addresses: Vec<std::net::IpAddr> =
        addresses.iter().map(|text| text.parse().unwrap()).collect();
    let look_up = move |_: &str, port: u16| {
        Ok(addresses
            .iter()
            .map(|ip| SocketAddr::new(*ip, port))
            .collect())
    };
    let private: Vec<PrivatePrefix> = private
        .iter()
        .map(|text| PrivatePrefix::parse(text).unwrap())
        .collect();
    let attempt = Attempt {
        limits: &FetchLimits::default(),
        private: &private,
        resolver: &Resolver::new(Arc::new(look_up)),
        patience: Arc::new(Patience::new(Arc::default())),
    };
    let found = attempt.addresses(&HttpUrl::parse(url).unwrap())?;
    Ok(found.iter().map(ToString::to_string).collect())
}

#[test]
fn private_ones_among_public_ones_are_left_out() {
    let mixed = [
        "10.0.0.1",
        "8.8.8.8",
        "::1",
        "2606:4700::1",
        "::ffff:192.168.0.1",
    ];
    assert_eq!(
        left("http://a.example/", &[], &mixed).unwrap(),
        ["8.8.8.8:80", "[2606:4700::1]:80"]
    );
    assert_eq!(
        left("https://a.example/", &[], &["8.8.8.8"]).unwrap(),
        ["8.8.8.8:443"]
    );
    assert_eq!(
        left("http://a.example/", &["http://a.example"], &mixed)
            .unwrap()
            .len(),
        5
    );
}

#[test]
fn none_left_is_fatal_and_names_the_host_only() {
    assert_eq!(
        left(
            "http://user:secret@a.example:81/secret?secret",
            &[],
            &["127.0.0.1"]
        ),
        Err(Failure::Fatal {
            reason: "downloading from private ip addresses is not allowed (a.example:81)"
                .to_owned()
        })
    );
}

#[test]
fn their_number_is_bounded() {
    let many: Vec<String> = (1..=40).map(|last| format!("8.8.8.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        left("http://a.example/", &[], &many).unwrap().len(),
        MAX_ADDRESSES
    );
}
