//! The leash: the socket between the owner and the container's init.
