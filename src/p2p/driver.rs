//! The one future that does a node's work: swarm, connections, the talk on inbound streams, orders of the handles.

use super::handler::Offer;
use super::node::PeerInfo;
use super::protocol::{self, Desk};
use super::streams::{Arrived, Streams, Wanted};
use super::{Inbound, NodeConfig, P2pError, transport};
use async_io::Timer;
use futures::channel::{mpsc, oneshot};
use futures::future::{BoxFuture, FutureExt, poll_fn};
use futures::stream::{FuturesUnordered, StreamExt};
use libp2p::core::transport::ListenerId;
use libp2p::swarm::{self, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, ping};
use smol::channel::{Receiver, Sender};
use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Streams that are served at once. Each holds at most 16 KiB of its request freely, and up to one Yamux window of
/// 256 KiB that the peer sends beyond.
const MAX_EXCHANGES: usize = 128;

/// The same for one peer, so that one cannot take all. A client with more deals than this waits for answers first.
const MAX_EXCHANGES_PER_PEER: usize = 64;

/// Streams of one connection whose protocol is being negotiated.
const MAX_NEGOTIATING: usize = 64;

/// How long a connection without streams is kept. A client identifies the provider, asks its terms and proposes,
/// with a person's pauses in between.
const IDLE_WAIT: Duration = Duration::from_secs(60);

/// Askers for what one peer says about itself.
const MAX_IDENTIFY_WAITING: usize = 64;

/// How long the work under way may take when the node is closed: an answer is judged in two seconds and stored soon
/// after.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Rounds of work before other tasks of the executor get their turn.
const ROUNDS: usize = 32;

/// The protocol family that identify tells; the word that Filecoin's nodes use.
const FAMILY: &str = "ipfs/0.1.0";

/// An order of a handle.
pub(super) enum Command {
    /// Tell the addresses that are listened on, once all are known.
    Addresses(oneshot::Sender<Vec<Multiaddr>>),
    /// Get something from a peer.
    Want {
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        wanted: Wanted,
    },
    /// Tell what a connected peer says about itself, once it does.
    Identify {
        peer: PeerId,
        reply: oneshot::Sender<PeerInfo>,
    },
    /// End, and answer by dropping the slot.
    Close(oneshot::Sender<()>),
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    streams: Streams,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    /// Orders; none once the node is closing.
    orders: Option<Pin<Box<Receiver<Command>>>>,
    desk: Desk,
    /// Connections' own tasks. The swarm starts one for each connection, so their number has its limits.
    started: mpsc::UnboundedReceiver<Task>,
    connections: FuturesUnordered<Task>,
    exchanges: FuturesUnordered<BoxFuture<'static, PeerId>>,
    /// How many of them each peer has.
    busy: HashMap<PeerId, usize>,
    /// What connected peers have said about themselves.
    known: HashMap<PeerId, PeerInfo>,
    identify_waiting: HashMap<PeerId, Vec<oneshot::Sender<PeerInfo>>>,
    listeners: HashSet<ListenerId>,
    /// Listeners that have not yet told an address.
    silent: HashSet<ListenerId>,
    addresses_waiting: Vec<oneshot::Sender<Vec<Multiaddr>>>,
    closing: Option<Closing>,
}

/// A node on its way out.
struct Closing {
    /// Dropped with the driver, which is the answer.
    _replies: Vec<oneshot::Sender<()>>,
    until: Timer,
    /// Peers whose connections were told to end.
    told: HashSet<PeerId>,
}

impl Driver {
    pub(super) fn new(
        config: NodeConfig,
        orders: Receiver<Command>,
        inbound: Sender<Inbound>,
    ) -> Result<Self, P2pError> {
        let (start, started) = mpsc::unbounded();
        let mut swarm = swarm(&config, move |task: Task| {
            // The driver holds the other end as long as it holds the swarm.
            let _ = start.unbounded_send(task);
        })?;
        let mut listeners = HashSet::new();
        for address in config.listen {
            let listening = swarm.listen_on(address.clone());
            listeners.insert(listening.map_err(|error| P2pError::Listen {
                address,
                reason: error.to_string(),
            })?);
        }
        for address in config.external {
            swarm.add_external_address(address);
        }
        Ok(Self {
            swarm,
            orders: Some(Box::pin(orders)),
            desk: Desk::new(inbound),
            started,
            connections: FuturesUnordered::new(),
            exchanges: FuturesUnordered::new(),
            busy: HashMap::new(),
            known: HashMap::new(),
            identify_waiting: HashMap::new(),
            silent: listeners.clone(),
            listeners,
            addresses_waiting: Vec::new(),
            closing: None,
        })
    }

    /// Works until the node is closed or its last handle is dropped.
    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let mut moved = false;
            while let Poll::Ready(Some(task)) = self.started.poll_next_unpin(cx) {
                self.connections.push(task);
                moved = true;
            }
            if let Poll::Ready(Some(())) = self.connections.poll_next_unpin(cx) {
                moved = true;
            }
            if let Poll::Ready(Some(event)) = self.swarm.poll_next_unpin(cx) {
                self.event(event);
                moved = true;
            }
            if let Poll::Ready(Some(peer)) = self.exchanges.poll_next_unpin(cx) {
                self.exchanged(peer);
                moved = true;
            }
            if let Some(orders) = &mut self.orders
                && let Poll::Ready(order) = orders.poll_next_unpin(cx)
            {
                match order {
                    Some(order) => self.order(order),
                    None => self.close(None),
                }
                moved = true;
            }
            if self.poll_closing(cx).is_ready() {
                return Poll::Ready(());
            }
            if !moved {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn order(&mut self, order: Command) {
        match order {
            Command::Addresses(reply) => {
                self.addresses_waiting.push(reply);
                self.tell_addresses();
            }
            Command::Want {
                peer,
                addresses,
                wanted,
            } => {
                let streams = &mut self.swarm.behaviour_mut().streams;
                streams.want(peer, addresses, wanted);
            }
            Command::Identify { peer, reply } => self.identify(peer, reply),
            Command::Close(reply) => self.close(Some(reply)),
        }
    }

    fn identify(&mut self, peer: PeerId, reply: oneshot::Sender<PeerInfo>) {
        if let Some(info) = self.known.get(&peer) {
            let _ = reply.send(info.clone());
        } else if self.swarm.is_connected(&peer) {
            let waiting = self.identify_waiting.entry(peer).or_default();
            waiting.retain(|reply| !reply.is_canceled());
            if waiting.len() < MAX_IDENTIFY_WAITING {
                waiting.push(reply);
            }
        }
    }

    fn tell_addresses(&mut self) {
        if self.silent.is_empty() {
            let addresses: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
            for reply in self.addresses_waiting.drain(..) {
                let _ = reply.send(addresses.clone());
            }
        }
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Streams(arrived)) => self.arrived(arrived),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => self.identified(peer_id, info),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) => self.pinged(&ping),
            SwarmEvent::NewListenAddr {
                listener_id,
                address,
            } => {
                log::info!("libp2p listens on {address}");
                self.silent.remove(&listener_id);
                self.tell_addresses();
            }
            SwarmEvent::ListenerClosed {
                listener_id,
                reason,
                ..
            } => {
                if let Err(error) = reason {
                    log::error!("a libp2p listener ended: {error}");
                }
                self.listeners.remove(&listener_id);
                self.silent.remove(&listener_id);
                self.tell_addresses();
            }
            SwarmEvent::ListenerError { error, .. } => {
                log::warn!("libp2p cannot accept a connection: {error}");
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established: 0,
                ..
            } => {
                self.known.remove(&peer_id);
                self.identify_waiting.remove(&peer_id);
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                log::debug!("libp2p handshake: {error}");
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                log::debug!("libp2p dial: {error}");
            }
            _ => {}
        }
    }

    fn arrived(&mut self, Arrived { peer, agreed }: Arrived) {
        let mine = self.busy.get(&peer).copied().unwrap_or(0);
        let full = self.exchanges.len() >= MAX_EXCHANGES || mine >= MAX_EXCHANGES_PER_PEER;
        if full || self.closing.is_some() {
            // Dropping the stream resets it, so the peer knows at once.
            log::debug!("no room for a stream of {peer}");
            return;
        }
        self.busy.insert(peer, mine.saturating_add(1));
        let desk = self.desk.clone();
        self.exchanges.push(
            async move {
                protocol::serve(agreed.stream, agreed.protocol, peer, desk).await;
                peer
            }
            .boxed(),
        );
    }

    fn exchanged(&mut self, peer: PeerId) {
        let left = self.busy.remove(&peer).unwrap_or(0).saturating_sub(1);
        if left > 0 {
            self.busy.insert(peer, left);
        }
    }

    fn identified(&mut self, peer: PeerId, info: identify::Info) {
        let info = PeerInfo {
            agent: info.agent_version,
            protocols: info.protocols.iter().map(ToString::to_string).collect(),
            addresses: info.listen_addrs,
        };
        for reply in self.identify_waiting.remove(&peer).unwrap_or_default() {
            let _ = reply.send(info.clone());
        }
        if self.swarm.is_connected(&peer) {
            self.known.insert(peer, info);
        }
    }

    /// A peer that does not answer pings is gone, even if TCP has not noticed; new streams must not wait for it.
    fn pinged(&mut self, ping: &ping::Event) {
        if let Err(ping::Failure::Timeout) = ping.result {
            log::debug!("{} does not answer", ping.peer);
            self.swarm.close_connection(ping.connection);
        }
    }

    fn close(&mut self, reply: Option<oneshot::Sender<()>>) {
        // Later orders are refused, also those that wait already.
        self.orders = None;
        for id in self.listeners.drain() {
            self.swarm.remove_listener(id);
        }
        self.closing = Some(Closing {
            _replies: reply.into_iter().collect(),
            until: Timer::after(CLOSE_WAIT),
            told: HashSet::new(),
        });
    }

    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(closing) = &mut self.closing else {
            return Poll::Pending;
        };
        if closing.until.poll_unpin(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.exchanges.is_empty() {
            return Poll::Pending;
        }
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        if peers.is_empty() {
            return Poll::Ready(());
        }
        for peer in peers {
            if closing.told.insert(peer) {
                // Connections flush what was written before they end.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
        Poll::Pending
    }
}

fn swarm(
    config: &NodeConfig,
    start: impl Fn(Task) + Send + 'static,
) -> Result<Swarm<Behaviour>, P2pError> {
    let served = if config.serve {
        protocol::served()
    } else {
        Vec::new()
    };
    // Addresses of peers are given with each order, so identify need not remember any.
    let identify = identify::Config::new(FAMILY.into(), config.key.public())
        .with_agent_version(config.agent.clone())
        .with_cache_size(0)
        .with_push_listen_addr_updates(true);
    let behaviour = Behaviour {
        streams: Streams::new(Offer(served)),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new()),
    };
    let settings = swarm::Config::with_executor(start)
        .with_idle_connection_timeout(IDLE_WAIT)
        .with_max_negotiating_inbound_streams(MAX_NEGOTIATING);
    let transport = transport::secured(&config.key).map_err(|_| P2pError::Key)?;
    let peer = config.key.public().to_peer_id();
    Ok(Swarm::new(transport, behaviour, peer, settings))
}
