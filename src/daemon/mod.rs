//! The life of a mount: recovery, background work, control socket.
