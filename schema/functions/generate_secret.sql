-- A UUID of version 4 has 122 bits of Postgres's strong random source (pg_strong_random), and six that are known. Three of
-- them have 366 random bits, and SHA-256 makes a key of 256 bits of these. The time in a UUIDv7 would be known.
create or replace function posthorn.generate_secret() returns text
  language sql volatile parallel safe
  return 'whsec_' || encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
    'base64');
comment on function posthorn.generate_secret() is
  'A new secret for a subscription: whsec_ and 32 random bytes in base64.';
revoke execute on function posthorn.generate_secret from public;
