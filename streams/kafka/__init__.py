"""The Kafka bridge: every event of a flock in Kafka, once, and back. Needs the extra `kafka`."""
