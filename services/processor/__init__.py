"""The processor: makes typed events of raw ones, with the mail, the recipient and the member they are about."""
