//! Server-sent events, as far as the native API sends them: each has one piece of data, and comments keep the
//! connection alive.

/// Longest event, bytes; whatever sends more is not the native API.
const EVENT_MAX: usize = 1 << 20;

/// Pieces of a stream in, data of events out.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// Data of the event that has not ended yet.
    data: Vec<u8>,
}

impl Parser {
    /// Takes a piece; answers the data of the events that it completes, or `None` when this is no stream of ours.
    pub(super) fn push(&mut self, piece: &[u8]) -> Option<Vec<String>> {
        let mut events = Vec::new();
        for byte in piece {
            if *byte == b'\n' {
                events.extend(self.end_of_line());
            } else {
                self.line.push(*byte);
            }
            if self.line.len() + self.data.len() > EVENT_MAX {
                return None;
            }
        }
        Some(events)
    }

    fn end_of_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then(|| String::from_utf8_lossy(&data).into_owned());
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_however_the_stream_is_cut() {
        let text = b": hello\n\nid: 1\nevent: node\ndata: {\"a\":1}\n\ndata:{\"b\":\r\ndata: 2}\r\n\r\ndata: half";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let pieces = text.chunks(size).map(|piece| parser.push(piece).expect("a stream"));
            let events: Vec<String> = pieces.flatten().collect();
            assert_eq!(events, ["{\"a\":1}", "{\"b\":\n2}"], "{size}");
        }
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let mut parser = Parser::default();
        assert!(parser.push(&vec![b'x'; EVENT_MAX]).is_some());
        assert!(parser.push(b"x").is_none());
    }
}
