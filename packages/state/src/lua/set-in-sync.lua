-- Guarantees: the in-sync set changes only from the revision the caller saw, within its epoch.
-- KEYS[1] authority. ARGV[1] epoch, ARGV[2] revision seen, ARGV[3] the new set.
if tonumber(ARGV[1]) ~= number('epoch') then return refused('epoch') end
if tonumber(ARGV[2]) ~= number('in_sync_revision') then return refused('revision') end
redis.call('HSET', KEYS[1], 'in_sync', ARGV[3], 'in_sync_revision', whole(number('in_sync_revision') + 1))
return saved()
