-- 0008: what signing needs beyond one secret: secrets that were replaced and still sign for a while,
-- Ed25519, a header of one's own, and how a source signs what it hands in.
--
-- Why it looks like this:
-- * Secrets stay text, plain or sealed (`sealed:v1:…`, see src/lib/sealing.ts), in the column where they
--   have always been. An older version that reads a sealed one signs with the wrong key, so receivers
--   refuse what it sends and it is sent again; in another column it would see no secret at all, send
--   unsigned and take everything that is handed in.
-- * A trigger forgets the secrets of what is deleted: an older version clears only the column it knows.
-- Locks: access exclusive on posthorn.subscriptions, for an instant: the columns have constant defaults
-- or none, and their checks hold for new rows without a look at the old ones, which fit.

alter table posthorn.subscriptions
  -- Secrets that were replaced and sign until their time, newest first: [{"secret": …, "until": …}].
  add column retired_secrets jsonb,
  -- Which kind of secret it is, for people: a sealed one does not show it.
  add column signature_scheme text not null default 'hmac',
  -- A signature header besides those of Standard Webhooks, how it is written, and what is signed.
  add column signature_header text,
  add column signature_template text,
  add column signature_content text,
  -- How its source signs what it hands in by /ingest, and with which secret.
  add column verify jsonb,
  add column verify_secret text;
alter table posthorn.subscriptions
  add constraint subscriptions_signature_scheme check (signature_scheme in ('hmac', 'ed25519')) not valid,
  add constraint subscriptions_verify_has_secret check ((verify is null) = (verify_secret is null)) not valid;

create function posthorn.forget_secrets() returns trigger
  language plpgsql as $$
begin
  new.secret := null;
  new.retired_secrets := null;
  new.verify := null;
  new.verify_secret := null;
  return new;
end
$$;
create trigger forget_secrets before update on posthorn.subscriptions
  for each row when (new.deleted_at is not null) execute function posthorn.forget_secrets();
