-- Guarantees: one consistent view of the authority, with the time that is left of a claim.
-- KEYS[1] authority.
return saved()
