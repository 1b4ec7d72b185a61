//! HTTPS in front of a server that speaks plain HTTP, and authorities to vouch for it.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Somebody who vouches for servers.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// What `CORACLE_CA_FILE` holds.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// The server's side of TLS with a certificate for these names.
    fn vouch(&self, names: &[&str]) -> Arc<ServerConfig> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

/// The running front; ends when dropped.
pub struct Front {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Front {
    /// Forwards each request to `behind`, with a certificate of `authority` for `names`.
    pub fn start(authority: &Authority, names: &[&str], behind: SocketAddr) -> Self {
        let config = authority.vouch(names);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
            stop: Arc::default(),
        };
        let (connections, requests) = (front.connections.clone(), front.requests.clone());
        let stop = front.stop.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (config, requests) = (config.clone(), requests.clone());
                connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    let mut tls = BufReader::new(StreamOwned::new(connection, stream));
                    while forward(&mut tls, behind, &requests).is_some() {}
                });
            }
        });
        front
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

type Tls = BufReader<StreamOwned<ServerConnection, TcpStream>>;

/// One request and its answer; None when the connection is over.
fn forward(tls: &mut Tls, behind: SocketAddr, requests: &AtomicUsize) -> Option<()> {
    let (head, length) = read_head(tls)?;
    requests.fetch_add(1, Ordering::SeqCst);
    let mut plain = BufReader::new(TcpStream::connect(behind).ok()?);
    plain.get_mut().write_all(&head).ok()?;
    std::io::copy(&mut tls.take(length), plain.get_mut()).ok()?;
    let (answer, length) = read_head(&mut plain)?;
    let mut bytes = answer;
    if !head.starts_with(b"HEAD ") {
        plain.take(length).read_to_end(&mut bytes).ok()?;
    }
    tls.get_mut().write_all(&bytes).ok()?;
    tls.get_mut().flush().ok()
}

/// A head to its empty line, and the length of the body behind it.
fn read_head(from: &mut impl BufRead) -> Option<(Vec<u8>, u64)> {
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let begun = head.len();
        from.read_until(b'\n', &mut head).ok()?;
        let line = String::from_utf8_lossy(&head[begun..]).to_ascii_lowercase();
        if line.is_empty() {
            return None;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            return Some((head, length));
        }
    }
}
