-- Guarantees: the epoch is above the one that was reached; what an older state said of primary and set is forgotten.
-- KEYS[1] authority. ARGV[1] the epoch that was reached.
if tonumber(ARGV[1]) >= number('epoch') then
  redis.call('HDEL', KEYS[1], 'primary_instance', 'primary_incarnation', 'lease_holder', 'lease_sequence', 'lease_ms')
  forget_claim()
  redis.call('HSET', KEYS[1], 'epoch', whole(tonumber(ARGV[1]) + 1), 'in_sync', '',
    'in_sync_revision', whole(number('in_sync_revision') + 1))
end
return saved()
