use reeve_store as _;
