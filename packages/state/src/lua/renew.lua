-- Guarantees: only the holder of the epoch in force prolongs its lease, and nobody does under another's open claim:
-- a coordinator that waits the lease out must not wait for ever.
-- KEYS[1] authority. ARGV[1] epoch, ARGV[2] holder.
if tonumber(ARGV[1]) ~= number('epoch') then return refused('epoch') end
if kept.lease_holder ~= ARGV[2] then return refused('not-holder') end
local by = claimant()
if by and by ~= ARGV[2] then return refused('claimed') end
redis.call('HINCRBY', KEYS[1], 'lease_sequence', 1)
return saved()
