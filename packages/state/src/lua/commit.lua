-- Guarantees: an epoch is put in force once, by the coordinator of its open claim, with a primary that cannot miss an
-- acknowledged critical write; the in-sync set only loses members.
-- KEYS[1] authority. ARGV[1] epoch, ARGV[2] coordinator, ARGV[3] primary's instance, ARGV[4] its incarnation,
-- ARGV[5] holder of the new lease, ARGV[6] lease in ms, ARGV[7] in-sync set of the new epoch.
if tonumber(ARGV[1]) ~= number('epoch') + 1 then return refused('epoch') end
if claimant() ~= ARGV[2] or number('claim_epoch') ~= tonumber(ARGV[1]) then return refused('claimed') end
local primary = ARGV[3] .. '/' .. ARGV[4]
local restarted = kept.primary_instance == ARGV[3] and kept.lease_holder == ARGV[5]
if kept.primary_instance and not restarted and not contains(kept.in_sync, primary) then return refused('not-member') end
local stay = {}
for member in string.gmatch(ARGV[7], '%S+') do
  if not contains(kept.in_sync, member) then return refused('not-member') end
  if string.match(member, '^[^/]+') ~= ARGV[3] then table.insert(stay, member) end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'primary_instance', ARGV[3], 'primary_incarnation', ARGV[4],
  'lease_holder', ARGV[5], 'lease_sequence', whole(number('lease_sequence') + 1), 'lease_ms', ARGV[6],
  'in_sync', table.concat(stay, ' '), 'in_sync_revision', whole(number('in_sync_revision') + 1))
forget_claim()
return saved()
