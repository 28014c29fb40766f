"""What the sinks of all object stores share: S3, Google Cloud Storage, Azure Blob Storage.

This room owns the sink itself (`sink`), how large bodies may be in memory (`sizes`), what is stored
beside the bytes (`metadata`), the error that a store's client raises (`errors`), and what such a
client has to do (`service`). It does not know any particular store.
"""
