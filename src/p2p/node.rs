//! The handle of a node.

use super::driver::{Command, Driver};
use super::handler::{Agreed, Offer};
use super::protocol::{ask, propose, status, transports, within};
use super::streams::Wanted;
use super::{Inbound, NodeConfig, OpenError, P2pError};
use crate::filecoin::Address;
use crate::wire::{
    AskResponse, DealParams, DealResponse, DealStatusRequest, DealStatusResponse, Transports,
};
use futures::channel::oneshot;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use smol::channel::{Receiver, Sender, bounded};
use std::future::Future;
use std::time::Duration;

/// Orders that wait for the driver. Who gives one waits for the driver to take it.
const MAX_COMMANDS: usize = 64;

/// Requests that wait to be taken off the queue. More wait in their streams, whose number is limited.
const MAX_INBOUND: usize = 64;

/// How long getting a stream to a peer may take: names, connecting, handshake and negotiation, each of which has a
/// deadline of its own, for an address or two.
const OPEN_WAIT: Duration = Duration::from_secs(45);

/// How long a connected peer may take to say who it is. It is asked as soon as it is connected.
const IDENTIFY_WAIT: Duration = Duration::from_secs(20);

/// What a peer says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Name and version of its program.
    pub agent: String,
    /// The protocols it speaks.
    pub protocols: Vec<String>,
    /// Where it says that it listens.
    pub addresses: Vec<Multiaddr>,
}

impl PeerInfo {
    /// Whether the peer speaks this protocol.
    pub fn speaks(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|known| known == protocol)
    }
}

/// The handle of a node; clones are the same node. The driver ends when all are dropped.
#[derive(Clone)]
pub struct Node {
    peer: PeerId,
    commands: Sender<Command>,
}

impl Node {
    /// Makes a node that listens already, the future that drives it, and the queue of what peers ask.
    ///
    /// The driver may run on any executor; nothing happens while it does not.
    ///
    /// # Errors
    /// The key cannot be used, or an address cannot be listened on.
    pub fn new(
        config: NodeConfig,
    ) -> Result<
        (
            Self,
            impl Future<Output = ()> + Send + 'static,
            Receiver<Inbound>,
        ),
        P2pError,
    > {
        let (commands, orders) = bounded(MAX_COMMANDS);
        let (inbound, asked) = bounded(MAX_INBOUND);
        let peer = config.key.public().to_peer_id();
        let driver = Driver::new(config, orders, inbound)?;
        Ok((Self { peer, commands }, driver.run(), asked))
    }

    /// The node's name among peers.
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }

    /// The concrete addresses that the node listens on, without `/p2p/…`. Empty if it has ended.
    pub async fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.order(Command::Addresses).await.unwrap_or_default()
    }

    /// Proposes a deal, on `1.2.1` if the peer has it and on `1.2.0` otherwise.
    ///
    /// # Errors
    /// The proposal is over a limit, the peer could not be reached, or gave no answer that could be read. The deal
    /// may have been accepted although no answer came.
    pub async fn propose(
        &self,
        peer: PeerId,
        addrs: &[Multiaddr],
        params: &DealParams,
    ) -> Result<DealResponse, P2pError> {
        params.check_limits().map_err(P2pError::Request)?;
        let stream = self.open(peer, addrs, &propose::PROTOCOLS).await?;
        propose::request(stream, params).await
    }

    /// Asks how a deal is.
    ///
    /// # Errors
    /// The peer could not be reached, or gave no answer that could be read.
    pub async fn status(
        &self,
        peer: PeerId,
        addrs: &[Multiaddr],
        request: &DealStatusRequest,
    ) -> Result<DealStatusResponse, P2pError> {
        let stream = self.open(peer, addrs, &[status::PROTOCOL]).await?;
        status::request(stream, request).await
    }

    /// Asks for the terms of a miner.
    ///
    /// # Errors
    /// The peer could not be reached, or gave no answer that could be read.
    pub async fn ask(
        &self,
        peer: PeerId,
        addrs: &[Multiaddr],
        miner: Address,
    ) -> Result<AskResponse, P2pError> {
        let stream = self.open(peer, addrs, &[ask::PROTOCOL]).await?;
        ask::request(stream, miner).await
    }

    /// Asks where pieces can be fetched.
    ///
    /// # Errors
    /// The peer could not be reached, or gave no answer that could be read to its end.
    pub async fn transports(
        &self,
        peer: PeerId,
        addrs: &[Multiaddr],
    ) -> Result<Transports, P2pError> {
        let stream = self.open(peer, addrs, &[transports::PROTOCOL]).await?;
        transports::request(stream).await
    }

    /// What the peer says about itself, its protocols among it.
    ///
    /// # Errors
    /// The peer could not be reached, or did not say.
    pub async fn protocols(&self, peer: PeerId, addrs: &[Multiaddr]) -> Result<PeerInfo, P2pError> {
        let connected = self.want(peer, addrs, Wanted::Connection);
        within(OPEN_WAIT, connected)
            .await
            .ok_or(OpenError::TimedOut)??;
        let identified = self.order(|reply| Command::Identify { peer, reply });
        match within(IDENTIFY_WAIT, identified).await {
            Some(Ok(info)) => Ok(info),
            // The driver drops the question when the last connection to the peer ends.
            Some(Err(_)) if !self.commands.is_closed() => Err(OpenError::ConnectionLost.into()),
            Some(Err(error)) => Err(error),
            None => Err(OpenError::TimedOut.into()),
        }
    }

    /// Ends the node: no new requests, those under way are finished for some seconds, then everything is closed.
    pub async fn close(&self) {
        // The answer comes with the end of the driver, whichever way it ends.
        let _ = self.order(Command::Close).await;
    }

    async fn open(
        &self,
        peer: PeerId,
        addrs: &[Multiaddr],
        protocols: &[StreamProtocol],
    ) -> Result<Stream, P2pError> {
        let want = || {
            let offer = Offer(protocols.to_vec());
            self.want(peer, addrs, |reply| Wanted::Stream(offer, reply))
        };
        let opened = within(OPEN_WAIT, async {
            match want().await {
                // The connection was there but dead; nothing has been said on it, so once more is harmless.
                Err(P2pError::Open(OpenError::ConnectionLost)) => want().await,
                outcome => outcome,
            }
        });
        let Agreed { stream, .. } = opened.await.ok_or(OpenError::TimedOut)??;
        Ok(stream)
    }

    async fn want<T>(
        &self,
        peer: PeerId,
        addrs: &[Multiaddr],
        wanted: impl FnOnce(oneshot::Sender<Result<T, OpenError>>) -> Wanted,
    ) -> Result<T, P2pError> {
        let (reply, outcome) = oneshot::channel();
        let command = Command::Want {
            peer,
            addresses: addrs.to_vec(),
            wanted: wanted(reply),
        };
        self.commands
            .send(command)
            .await
            .map_err(|_| P2pError::Closed)?;
        match outcome.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(OpenError::ConnectionLost.into()),
        }
    }

    async fn order<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, P2pError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| P2pError::Closed)?;
        answer.await.map_err(|_| P2pError::Closed)
    }
}
