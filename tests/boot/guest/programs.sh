#!/bin/sh
# Runs one family of programs on fixed input and prints what came out, in a root made by tools/fetch_programs.sh.
#
#   programs.sh openssl|python_<test>|perl|compress|sqlite|luajit|gcc|bc
#
# It runs in the guest and on the host, with the same files; every line must be the same. So nothing that it prints may
# depend on time, on addresses or on chance.
# shellcheck disable=SC2086,SC3045
export PATH=/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C HOME=/tmp PYTHONHASHSEED=0 PERL_HASH_SEED=0 PYTHONDONTWRITEBYTECODE=1
export OPENSSL_CONF=/dev/null
cd /tmp || exit 1
ulimit -v 4000000 # a program that goes astray on the host stays there
data=/orrery/numbers
binary=/orrery/binary

sum() { sha256sum | cut -d ' ' -f 1; }
case $1 in
openssl)
  openssl version
  for digest in md5 sha1 sha224 sha256 sha384 sha512 sha512-256 sha3-224 sha3-256 sha3-512 shake256 blake2b512 blake2s256 sm3 ripemd160; do
    openssl dgst -$digest $binary
  done
  key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
  iv=000102030405060708090a0b0c0d0e0f
  for cipher in aes-128-cbc aes-192-cbc aes-256-cbc aes-128-ctr aes-256-ctr aes-128-ecb aes-256-cfb aes-128-ofb \
    camellia-128-cbc camellia-256-ctr aria-128-cbc aria-256-ctr chacha20 des-ede3-cbc sm4-cbc; do
    openssl enc -$cipher -K $key -iv $iv -in $binary -out c 2>/dev/null
    echo "$cipher $? $(sum <c) $(openssl enc -d -$cipher -K $key -iv $iv -in c 2>/dev/null | sum)"
  done
  openssl dgst -sha256 -hmac secret $data
  openssl dgst -mac cmac -macopt cipher:aes-256-cbc -macopt hexkey:$key $data
  openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:secret -kdfopt salt:salt -kdfopt iter:1000 PBKDF2
  openssl kdf -keylen 32 -kdfopt pass:secret -kdfopt salt:salt -kdfopt n:1024 -kdfopt r:8 -kdfopt p:1 SCRYPT
  openssl kdf -keylen 32 -kdfopt digest:SHA512 -kdfopt key:secret -kdfopt salt:salt -kdfopt info:label HKDF
  # RSA PKCS #1 v1.5 and Ed25519 have one signature; ECDSA and PSS draw a number for each.
  openssl pkey -in /orrery/rsa.pem -pubout -out rsa.pub
  openssl dgst -sha256 -sign /orrery/rsa.pem -out s $data
  echo "rsa $(sum <s)"
  openssl dgst -sha256 -verify rsa.pub -signature s $data
  openssl dgst -sha512 -sign /orrery/rsa.pem -sigopt rsa_padding_mode:pss -out s $data
  openssl dgst -sha512 -verify rsa.pub -sigopt rsa_padding_mode:pss -signature s $data
  openssl dgst -sha256 -verify rsa.pub -signature s $data
  echo "a short message" >m
  openssl pkeyutl -encrypt -pubin -inkey rsa.pub -in m -out e -pkeyopt rsa_padding_mode:oaep
  openssl pkeyutl -decrypt -inkey /orrery/rsa.pem -in e -pkeyopt rsa_padding_mode:oaep
  for curve in p256 p521; do
    openssl pkey -in /orrery/$curve.pem -pubout -out $curve.pub
    sum <$curve.pub
    openssl dgst -sha256 -verify $curve.pub -signature /orrery/$curve.signature $data
    openssl dgst -sha256 -sign /orrery/$curve.pem -out s $data
    openssl dgst -sha256 -verify $curve.pub -signature s $data
    openssl dgst -sha256 -verify $curve.pub -signature s $binary
  done
  openssl pkeyutl -sign -rawin -inkey /orrery/ed25519.pem -in m -out s
  echo "ed25519 $(sum <s)"
  openssl pkey -in /orrery/x25519.pem -pubout -out x25519.pub
  echo "x25519 $(openssl pkeyutl -derive -inkey /orrery/x25519.pem -peerkey x25519.pub | sum)"
  for number in 170141183460469231731687303715884105727 170141183460469231731687303715884105729; do
    openssl prime $number
  done
  ;;
python_*)
  python3.11 -V
  # As the test suite runs each; test_decimal builds its classes when it is the program itself.
  module=test.test_${1#python_}
  case $1 in
  python_decimal) python3.11 -m $module >log 2>&1 ;;
  *) python3.11 -m unittest -v $module >log 2>&1 ;;
  esac
  echo "status $?"
  sed -e 's/ in [0-9.]*s$//' -e 's/0x[0-9a-f]*/0x/g' log
  ;;
perl)
  perl /orrery/program_perl.pl
  ;;
compress)
  for file in $data $binary; do
    for level in 1 6 9; do
      gzip -n -$level <$file >z
      echo "gzip -$level $(sum <z) $(gzip -dc z | sum)"
      xz -T1 -$level <$file >z
      echo "xz -$level $(sum <z) $(xz -dc z | sum)"
    done
    bzip2 <$file >z
    echo "bzip2 $(sum <z) $(bzip2 -dc z | sum)"
    for level in 1 19; do
      zstd -q -T1 -$level <$file >z
      echo "zstd -$level $(sum <z) $(zstd -dqc z | sum)"
    done
    sum <$file
  done
  xz -t z 2>/dev/null
  echo "not xz: $?"
  sort -r $data | uniq -c | sort -n -k 2 | sum
  ;;
sqlite)
  sqlite3 database </orrery/program_sqlite.sql
  sum <database
  ;;
luajit)
  for mode in -joff -jon; do
    luajit $mode /orrery/program_lua.lua
  done
  ;;
gcc)
  for options in -O0 -O2 "-O3 -march=x86-64-v2" "-O2 -mfpmath=387 -fno-builtin" "-Os -g"; do
    gcc-12 $options -c /orrery/program_c.c -o o.o || exit 1
    gcc-12 $options -S /orrery/program_c.c -o o.s || exit 1
    gcc-12 $options /orrery/program_c.c -o program -lm || exit 1
    echo "$options: object $(sum <o.o) assembly $(sum <o.s) program $(sum <program)"
    ./program
  done
  objdump -d o.o | sum
  ;;
bc)
  echo "scale=400; 4*a(1); e(1); l(2); sqrt(2); s(1); 2^4000 % 1000000007" | bc -l
  awk 'BEGIN { for (i = 1; i <= 2000; i++) { x = sin(i) * exp(i / 500) + log(i) ^ 1.5; printf "%.17g %a\n", x, x } }' | sum
  awk 'BEGIN { for (i = 1; i <= 20; i++) { x = atan2(i, 3) * sqrt(i); printf "%.17g\n", x } }'
  ;;
*)
  echo "programs.sh: '$1'?" >&2
  exit 2
  ;;
esac
