"""For one machine only: embedded servers, a Mailgun simulator, a newsletter to send. No service imports it."""
