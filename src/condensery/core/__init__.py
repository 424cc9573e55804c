"""What methods are built of: functions on tensors, the synthetic set, the peers."""
