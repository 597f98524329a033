"""Tell people of alerts: who is told (`targets`), what (`messages`, `picture`), and how (`webhook`, `messenger`).

What it promises:
- An event in the outbox reaches every target that wants it at least once, after a crash of the server too;
  what is sent again has the same key, by which a receiver knows it.
- A target that fails or hangs holds up no other, nor the ingest, nor the server's end.
- Nothing of a target but its name, its kind and its host is shown or logged; no answer of a receiver is.
- No connection is made to an address of an internal network unless the target allows it.
"""
