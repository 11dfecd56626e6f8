"""The deciding part of the policy: pure functions over plain records, nothing that touches the world."""
