"""What one GPU does with memtrain: its tests, its exactness and its speed, in eight minutes."""
