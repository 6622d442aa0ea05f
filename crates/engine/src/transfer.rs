//! Archives on the wire: bodies of requests read, and bodies of answers written, by code that blocks. Bounded on the
//! way: the faster side waits, and either ends when the other is gone.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use crate::error::{EngineError, Result};

/// Chunks on their way; a full channel makes the faster side wait.
const CHUNKS: usize = 8;
const CHUNK_BYTES: usize = 128 * 1024;

/// Runs `job` on a blocking thread with the bytes of `body` to read. Both end when this future is dropped.
pub(crate) async fn read_body<T, S, E>(
    body: S,
    job: impl FnOnce(BodyReader) -> Result<T> + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: std::fmt::Display,
{
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let reader = BodyReader {
        receiver,
        current: Bytes::new(),
        ended: false,
    };
    let send = async move {
        let mut body = std::pin::pin!(body);
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map(Some).map_err(|error| {
                io::Error::new(io::ErrorKind::ConnectionAborted, error.to_string())
            });
            let broken = chunk.is_err();
            if sender.send(chunk).await.is_err() || broken {
                return;
            }
        }
        // Nobody may be left to read it.
        drop(sender.send(Ok(None)).await);
    };
    let (done, ()) = tokio::join!(crate::blocking::transfer(move || job(reader)), send);
    done
}

/// The bytes of a request's body. An end that the sender did not mean is an error.
#[derive(Debug)]
pub(crate) struct BodyReader {
    receiver: mpsc::Receiver<io::Result<Option<Bytes>>>,
    current: Bytes,
    ended: bool,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Ok(Some(chunk))) => self.current = chunk,
                Some(Ok(None)) => self.ended = true,
                Some(Err(error)) => return Err(error),
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "the client went away",
                    ));
                }
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// The bytes that `job` writes, as it writes them. An error cuts the stream short, so that the reader notices.
pub(crate) fn write_body(
    job: impl FnOnce(&mut BodyWriter) -> Result<()> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + 'static {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let work = crate::blocking::transfer(move || {
        let mut writer = BodyWriter {
            sender,
            pending: BytesMut::with_capacity(CHUNK_BYTES),
        };
        job(&mut writer)?;
        writer.flush().map_err(EngineError::io("send", "archive"))
    });
    let state = (receiver, Some(Box::pin(work)));
    futures_util::stream::unfold(state, |(mut receiver, mut work)| async move {
        loop {
            let Some(running) = work.as_mut() else {
                let chunk = receiver.recv().await?;
                return Some((Ok(chunk), (receiver, work)));
            };
            tokio::select! {
                biased;
                Some(chunk) = receiver.recv() => return Some((Ok(chunk), (receiver, work))),
                done = running => {
                    work = None;
                    if let Err(error) = done {
                        tracing::warn!(%error, "send an archive");
                        return Some((Err(error), (receiver, work)));
                    }
                }
            }
        }
    })
}

/// Collects small writes into chunks for [`write_body`].
#[derive(Debug)]
pub(crate) struct BodyWriter {
    sender: mpsc::Sender<Bytes>,
    pending: BytesMut,
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.sender
            .blocking_send(self.pending.split().freeze())
            .map_err(|_closed| io::ErrorKind::BrokenPipe.into())
    }
}
