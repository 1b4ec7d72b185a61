//! Tests of the room: the real run loop between doubles of the outside worlds.

mod answers;
mod asks;
mod chain;
mod crash;
mod disk;
mod edges;
mod ends;
mod events;
mod filters;
mod found;
mod gate;
mod handovers;
mod imports;
mod late;
mod life;
mod limits;
mod miners;
mod prepared;
mod publishing;
mod recorded;
mod refusals;
mod sealed;
mod sealer;
mod server;
mod sweep;
mod world;
