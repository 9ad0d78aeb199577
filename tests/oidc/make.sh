#!/bin/bash
# Makes keys.json, next-keys.json and tokens.txt next to it: keys and tokens of an identity provider, by openssl, which
# shares no code with what checks them. Private keys are thrown away, so that nobody can use them and every run makes
# all of it anew. Times are seconds: 1700000000 is past, 1800000000 is what the unit tests call now, 4102444800 is 2100.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
unhex() { sed 's/../\\x&/g' | xargs -0 printf '%b'; }

rsa() { openssl genpkey -quiet -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1.pem" 2>/dev/null ||
        openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1.pem" 2>/dev/null; }
ec() { openssl ecparam -name "$2" -genkey -noout -out "$1.pem"; }
for key in rsa-1 rsa-2 rsa-3 rsa-enc stranger; do rsa "$key" 2048; done
rsa rsa-small 1024
rsa rsa-large 4096
ec ec-256 prime256v1
ec ec-384 secp384r1
ec ec-521 secp521r1
ec ec-mixed prime256v1

# A public key as a JWK; the second argument is put into it.
rsa_jwk() {
    local n
    n=$(openssl rsa -in "$1.pem" -noout -modulus | cut -d= -f2 | tr -d '\n' | unhex | url)
    printf '{"kty":"RSA","kid":"%s","n":"%s","e":"AQAB"%s}' "$1" "$n" "${2-}"
}
ec_jwk() {
    local width=$3 point
    openssl ec -in "$1.pem" -pubout -outform DER 2>/dev/null | tail -c $((2 * width)) >point
    printf '{"kty":"EC","kid":"%s","crv":"%s","x":"%s","y":"%s"%s}' "$1" "$2" \
        "$(head -c "$width" point | url)" "$(tail -c "$width" point | url)" "${4-}"
}
{
    printf '{"keys":['
    rsa_jwk rsa-1 ',"use":"sig","x5c":["ignored"]'; printf ',\n'
    rsa_jwk rsa-2 ',"alg":"RS512","key_ops":["verify"]'; printf ',\n'
    rsa_jwk rsa-large; printf ',\n'
    rsa_jwk rsa-enc ',"use":"enc"'; printf ',\n'
    rsa_jwk rsa-small; printf ',\n'
    ec_jwk ec-256 P-256 32 ',"alg":"ES256","use":"sig"'; printf ',\n'
    ec_jwk ec-384 P-384 48; printf ',\n'
    ec_jwk ec-521 P-521 66; printf ',\n'
    ec_jwk ec-mixed P-256 32 ',"alg":"RS256"'; printf ',\n'
    printf '{"kty":"oct","kid":"hmac","k":"%s","alg":"HS256"},\n' "$(printf secret | url)"
    printf '{"kty":"OKP","crv":"Ed25519","kid":"okp","x":"%s"}\n]}\n' "$(printf '%032d' 0 | url)"
} >"$here/keys.json"
# After a rotation: the first key is gone and there is a third.
{ printf '{"keys":[\n'; rsa_jwk rsa-2; printf ',\n'; rsa_jwk rsa-3; printf '\n]}\n'; } >"$here/next-keys.json"

# A DER signature as the two numbers at full width.
raw_signature() {
    openssl asn1parse -inform DER -in "$1" | sed -n 's/.*INTEGER *://p' | while read -r number; do
        printf "%0$((2 * $2))s" "$number" | tr ' ' 0
    done | unhex
}
sign() { # algorithm key, text on standard input
    case $1 in
    RS*) openssl dgst "-sha${1#RS}" -sign "$2.pem" ;;
    PS*) openssl dgst "-sha${1#PS}" -sign "$2.pem" -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest ;;
    ES256) openssl dgst -sha256 -sign "$2.pem" -out der && raw_signature der 32 ;;
    ES384) openssl dgst -sha384 -sign "$2.pem" -out der && raw_signature der 48 ;;
    ES512) openssl dgst -sha512 -sign "$2.pem" -out der && raw_signature der 66 ;;
    DER) openssl dgst -sha256 -sign "$2.pem" ;;
    DER384) openssl dgst -sha384 -sign "$2.pem" ;;
    # The old confusion: the public key as the secret of an HMAC.
    HS256) openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(openssl rsa -in "$2.pem" -pubout 2>/dev/null | xxd -p | tr -d '\n')" -binary ;;
    none) ;;
    esac
}
token() { # name, algorithm that signs, key, header, claims
    local text
    text=$(printf '%s' "$4" | url).$(printf '%s' "$5" | url)
    printf '%s %s.%s\n' "$1" "$text" "$(printf '%s' "$text" | sign "$2" "$3" | url)"
}
head() { if [[ $1 == -* ]]; then command head "$@"; else printf '{"alg":"%s","typ":"JWT","kid":"%s"%s}' "$1" "$2" "${3-}"; fi; }
ours='"iss":"https://id.example.com","aud":"dbward"'
times='"iat":1700000000,"exp":4102444800'
who='"sub":"requester","groups":["backend","staff"]'
good="{$ours,$times,$who}"
said() { token "$1" RS256 rsa-1 "$(head RS256 rsa-1)" "$2"; }
headed() { token "$1" RS256 rsa-1 "$2" "$good"; }
{
    # Good ones.
    for alg in RS256 RS384 RS512; do token "good-$alg" $alg rsa-1 "$(head $alg rsa-1)" "$good"; done
    token good-ES256 ES256 ec-256 "$(head ES256 ec-256)" "$good"
    token good-ES384 ES384 ec-384 "$(head ES384 ec-384)" "$good"
    token good-large RS256 rsa-large "$(head RS256 rsa-large)" "$good"
    token good-without-kid ES256 ec-256 '{"alg":"ES256"}' "$good"
    token good-access RS256 rsa-1 '{"alg":"RS256","typ":"at+JWT","kid":"rsa-1","x5t":"thumb","b64":true}' "$good"
    token good-next RS256 rsa-3 "$(head RS256 rsa-3)" "$good"
    said good-aud-list "{\"iss\":\"https://id.example.com\",\"aud\":[\"other\",\"dbward\"],\"azp\":\"dbward\",$times,$who}"
    said good-aud-list-without-azp "{\"iss\":\"https://id.example.com\",\"aud\":[\"other\",\"dbward\"],$times,$who}"
    said good-fraction "{$ours,\"iat\":1700000000.25,\"exp\":4102444800.5,$who}"
    said good-claims "{$ours,$times,\"sub\":\"approver\",\"groups\":\"single\",\"level\":\"high\",\"realm_access\":{\"roles\":[\"lead\",7,\"dev\"]},\"https://example.com/roles\":[\"literal\"],\"realm.access\":\"dotted\",\"flag\":true}"
    said good-claims-email "{$ours,$times,\"sub\":\"first.last+tag@example.com\",\"groups\":[\"team:backend\",\"a b\",\"*\",\"\",null]}"
    said timed "{$ours,\"iat\":1800000000,\"nbf\":1800000000,\"exp\":1800003600,$who}"

    # Algorithms and keys.
    token attack-none none - "$(head none rsa-1)" "$good"
    token attack-None none - "$(head None rsa-1)" "$good"
    token attack-no-alg RS256 rsa-1 '{"kid":"rsa-1"}' "$good"
    token attack-hmac-of-public-key HS256 rsa-1 "$(head HS256 rsa-1)" "$good"
    token attack-hmac-said-rsa HS256 rsa-1 "$(head RS256 rsa-1)" "$good"
    token attack-pss PS256 rsa-1 "$(head PS256 rsa-1)" "$good"
    token attack-pss-said-rsa PS256 rsa-1 "$(head RS256 rsa-1)" "$good"
    token attack-es512 ES512 ec-521 "$(head ES512 ec-521)" "$good"
    token attack-lower-case RS256 rsa-1 "$(head rs256 rsa-1)" "$good"
    token attack-other-hash RS256 rsa-1 "$(head RS512 rsa-1)" "$good"
    token attack-key-for-other-alg RS256 rsa-2 "$(head RS256 rsa-2)" "$good"
    token attack-ec-alg-on-rsa-key ES256 ec-256 "$(head ES256 rsa-1)" "$good"
    token attack-rsa-alg-on-ec-key RS256 rsa-1 "$(head RS256 ec-256)" "$good"
    token attack-es384-on-p256 ES384 ec-384 "$(head ES384 ec-256)" "$good"
    token attack-der-signature DER ec-256 "$(head ES256 ec-256)" "$good"
    token attack-der-signature-384 DER384 ec-384 "$(head ES384 ec-384)" "$good"
    # Zeros, which careless checks of curves take for everybody's signature.
    printf 'attack-zero-signature %s.%s.%s\n' "$(head ES256 ec-256 | url)" "$(printf '%s' "$good" | url)" \
        "$(command head -c 64 /dev/zero | url)"
    token attack-contradicting-key ES256 ec-mixed "$(head ES256 ec-mixed)" "$good"
    token attack-small-key RS256 rsa-small "$(head RS256 rsa-small)" "$good"
    token attack-encryption-key RS256 rsa-enc "$(head RS256 rsa-enc)" "$good"
    token attack-stranger RS256 stranger "$(head RS256 rsa-1)" "$good"
    token attack-unknown-kid RS256 rsa-1 "$(head RS256 nobody)" "$good"
    token attack-without-kid RS256 rsa-1 '{"alg":"RS256"}' "$good"
    token attack-kid-long RS256 rsa-1 "$(head RS256 "$(printf 'k%.0s' {1..1100})")" "$good"
    token attack-alg-list RS256 rsa-1 '{"alg":["RS256"],"kid":"rsa-1"}' "$good"
    token attack-alg-null RS256 rsa-1 '{"alg":null,"kid":"rsa-1"}' "$good"
    token attack-typ-number RS256 rsa-1 '{"alg":"RS256","typ":7,"kid":"rsa-1"}' "$good"
    token attack-kid-number RS256 rsa-1 '{"alg":"RS256","kid":1}' "$good"
    printf 'attack-empty-signature %s.%s.\n' "$(head RS256 rsa-1 | url)" "$(printf '%s' "$good" | url)"

    # Headers.
    headed attack-crit "$(head RS256 rsa-1 ',"crit":["exp"]')"
    headed attack-crit-empty "$(head RS256 rsa-1 ',"crit":[]')"
    headed attack-jku "$(head RS256 rsa-1 ',"jku":"https://evil.example.com/keys"')"
    headed attack-jwk "$(head RS256 rsa-1 ",\"jwk\":$(rsa_jwk stranger)")"
    headed attack-x5u "$(head RS256 rsa-1 ',"x5u":"https://evil.example.com/cert"')"
    headed attack-x5c "$(head RS256 rsa-1 ',"x5c":["MIIB"]')"
    headed attack-b64 "$(head RS256 rsa-1 ',"b64":false')"
    headed attack-zip "$(head RS256 rsa-1 ',"zip":"DEF"')"
    headed attack-nested "$(head RS256 rsa-1 ',"cty":"JWT"')"
    headed attack-logout '{"alg":"RS256","typ":"logout+jwt","kid":"rsa-1"}'
    headed attack-head-key-twice '{"alg":"none","typ":"JWT","kid":"rsa-1","alg":"RS256"}'
    headed attack-head-key-twice-escaped '{"alg":"RS256","kid":"rsa-1","\u0061lg":"none"}'
    headed attack-head-not-object '["RS256"]'
    headed attack-head-and-more '{"alg":"RS256","kid":"rsa-1"} {}'

    # Claims.
    said attack-iss-missing "{\"aud\":\"dbward\",$times,$who}"
    said attack-iss-slash "{\"iss\":\"https://id.example.com/\",\"aud\":\"dbward\",$times,$who}"
    said attack-iss-case "{\"iss\":\"https://ID.example.com\",\"aud\":\"dbward\",$times,$who}"
    said attack-iss-null "{\"iss\":null,\"aud\":\"dbward\",$times,$who}"
    said attack-iss-list "{\"iss\":[\"https://id.example.com\"],\"aud\":\"dbward\",$times,$who}"
    said attack-aud-missing "{\"iss\":\"https://id.example.com\",$times,$who}"
    said attack-aud-other "{\"iss\":\"https://id.example.com\",\"aud\":\"dbward2\",$times,$who}"
    said attack-aud-empty "{\"iss\":\"https://id.example.com\",\"aud\":[],$times,$who}"
    said attack-aud-object "{\"iss\":\"https://id.example.com\",\"aud\":{\"dbward\":1},$times,$who}"
    said attack-aud-mixed "{\"iss\":\"https://id.example.com\",\"aud\":[\"dbward\",1],$times,$who}"
    said attack-aud-null "{\"iss\":\"https://id.example.com\",\"aud\":null,$times,$who}"
    said attack-aud-mixed-first "{\"iss\":\"https://id.example.com\",\"aud\":[null,\"dbward\"],$times,$who}"
    said attack-aud-nested "{\"iss\":\"https://id.example.com\",\"aud\":[[\"dbward\"]],$times,$who}"
    said attack-azp-other "{\"iss\":\"https://id.example.com\",\"aud\":[\"dbward\",\"other\"],\"azp\":\"other\",$times,$who}"
    said attack-exp-missing "{$ours,\"iat\":1700000000,$who}"
    said attack-exp-past "{$ours,\"iat\":1700000000,\"exp\":1700003600,$who}"
    said attack-exp-text "{$ours,\"iat\":1700000000,\"exp\":\"4102444800\",$who}"
    said attack-exp-huge "{$ours,\"iat\":1700000000,\"exp\":1e300,$who}"
    said attack-exp-null "{$ours,\"iat\":1700000000,\"exp\":null,$who}"
    said attack-exp-integer-huge "{$ours,\"iat\":1700000000,\"exp\":18446744073709551615,$who}"
    said attack-exp-beyond-floats "{$ours,\"iat\":1700000000,\"exp\":1e999,$who}"
    said attack-exp-negative "{$ours,\"iat\":1700000000,\"exp\":-1,$who}"
    said attack-nbf-future "{$ours,$times,\"nbf\":4000000000,$who}"
    said attack-iat-future "{$ours,\"iat\":4000000000,\"exp\":4102444800,$who}"
    said attack-sub-missing "{$ours,$times}"
    said attack-sub-empty "{$ours,$times,\"sub\":\"\"}"
    said attack-sub-number "{$ours,$times,\"sub\":7}"
    said attack-sub-control "{$ours,$times,\"sub\":\"a\\u0000b\"}"
    said attack-sub-star "{$ours,$times,\"sub\":\"*\"}"
    said attack-sub-system "{$ours,$times,\"sub\":\"system\"}"
    said attack-sub-anonymous "{$ours,$times,\"sub\":\"anonymous\"}"
    said attack-sub-spaced "{$ours,$times,\"sub\":\" admin\"}"
    said attack-sub-spaced-wide "{$ours,$times,\"sub\":\"admin\u00a0\"}"
    said attack-sub-invisible "{$ours,$times,\"sub\":\"adm\u200bin\"}"
    said attack-sub-turned "{$ours,$times,\"sub\":\"\u202enimda\"}"
    said attack-sub-list "{$ours,$times,\"sub\":[\"requester\"]}"
    said attack-sub-long "{$ours,$times,\"sub\":\"$(printf 'x%.0s' {1..250})\"}"
    said attack-claim-twice "{$ours,$times,\"sub\":\"admin\",$who}"
    said attack-claim-twice-deep "{$ours,$times,$who,\"realm_access\":{\"roles\":[],\"roles\":[\"admin\"]}}"
    said attack-claim-twice-in-list "{$ours,$times,$who,\"many\":[{\"a\":1,\"a\":2}]}"
    said attack-claim-twice-escaped "{$ours,$times,$who,\"s\u0075b\":\"admin\"}"
    said attack-claims-not-object "[]"
    said attack-too-long "{$ours,$times,$who,\"pad\":\"$(printf 'x%.0s' {1..13000})\"}"
} >"$here/tokens.txt"
