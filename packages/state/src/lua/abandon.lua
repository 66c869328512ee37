-- Guarantees: only the claim named is given up; anyone else's stays.
-- KEYS[1] authority. ARGV[1] epoch of the claim, ARGV[2] coordinator.
if kept.claim_coordinator == ARGV[2] and number('claim_epoch') == tonumber(ARGV[1]) then forget_claim() end
return saved()
