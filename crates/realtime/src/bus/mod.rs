//! What servers tell each other. Nothing depends on it but speed: the log has every event.
