//! A client of MQTT 3.1.1 with as much as the comparison needs: one topic, quality of service 0.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;

use super::socket::{Reader, connect};
use crate::Result;

/// The topic of all messages.
const TOPIC: &str = "bench";

/// A connection to a broker.
#[derive(Debug)]
pub struct Mqtt(Reader);

/// Who connects.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The name and the password, if the broker wants them.
    pub user: Option<(&'a str, &'a str)>,
}

impl Mqtt {
    /// Connects.
    pub async fn open(address: SocketAddr, number: usize, login: Login<'_>) -> Result<Self> {
        let mut body = text("MQTT");
        let flags = if login.user.is_some() { 0xc2 } else { 0x02 };
        // Version 4, and no time after which a silent client is disconnected.
        body.extend_from_slice(&[4, flags, 0, 0]);
        body.extend(text(&format!("bench{number}")));
        for part in login.user.map_or([None, None], |(name, password)| [Some(name), Some(password)]) {
            body.extend(part.map(text).unwrap_or_default());
        }
        let mut mqtt = Self(Reader::new(connect(address).await?));
        mqtt.send(0x10, &body).await?;
        match mqtt.packet().await?.as_slice() {
            [0x20, _, _, 0] => Ok(mqtt),
            answer => Err(format!("the broker refused the connection: {answer:?}").into()),
        }
    }

    /// Subscribes to the topic.
    pub async fn subscribe(&mut self) -> Result<()> {
        let body = [vec![0, 1], text(TOPIC), vec![0]].concat();
        self.send(0x82, &body).await?;
        match self.packet().await?.as_slice() {
            [0x90, _, _, _, 0..=2] => Ok(()),
            answer => Err(format!("the broker refused the subscription: {answer:?}").into()),
        }
    }

    /// Publishes a message.
    pub async fn publish(&mut self, payload: &[u8]) -> Result<()> {
        self.send(0x30, &[&text(TOPIC), payload].concat()).await
    }

    /// Waits for the next message.
    pub async fn message(&mut self) -> Result<Vec<u8>> {
        loop {
            let packet = self.packet().await?;
            if packet.first().is_some_and(|kind| kind >> 4 == 3) {
                return Ok(packet);
            }
        }
    }

    async fn packet(&mut self) -> Result<Vec<u8>> {
        self.0.frame(packet_length).await
    }

    async fn send(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        let mut packet = vec![kind];
        let mut length = body.len();
        while length >= 0x80 {
            packet.push(u8::try_from(length & 0x7f)? | 0x80);
            length >>= 7;
        }
        packet.push(u8::try_from(length)?);
        packet.extend_from_slice(body);
        Ok(self.0.stream().write_all(&packet).await?)
    }
}

/// A text after its length.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length, text.as_bytes()].concat()
}

fn packet_length(read: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (place, byte) in read.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(place + 2 + length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_packet_is_known_from_its_head() {
        assert_eq!(packet_length(&[0x30]), None);
        assert_eq!(packet_length(&[0x30, 0x80]), None);
        assert_eq!(packet_length(&[0x30, 5]), Some(7));
        assert_eq!(packet_length(&[0x30, 0x80, 0x02]), Some(259));
        assert_eq!(text("ab"), [0, 2, b'a', b'b']);
    }
}
