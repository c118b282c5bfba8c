"""What clients and graphs say to each other, and MQTT to say it by: used by both ends (docs/protocol.md)."""
