#!/usr/bin/python3.11
"""OpenSSL's libcrypto, as `openssl speed` calls it: digests, AES-256-GCM, ChaCha20-Poly1305, RSA, Ed25519 and ECDSA."""

import ctypes
import hashlib
import sys

PERCENT = int(sys.argv[1]) if len(sys.argv) > 1 else 100
crypto = ctypes.CDLL("libcrypto.so.3")
digest = hashlib.md5()


def call(name, *arguments, result=ctypes.c_void_p):
    function = getattr(crypto, name)
    function.restype = result
    return function(*arguments)


def pointer(value):
    return ctypes.c_void_p(value)


def key(path):
    with open(path, "rb") as file:
        text = file.read()
    bio = pointer(call("BIO_new_mem_buf", text, len(text)))
    found = call("PEM_read_bio_PrivateKey", bio, None, None, None)
    assert found, path
    return pointer(found)


def signature(private, method, message):
    context = pointer(call("EVP_MD_CTX_new"))
    assert call("EVP_DigestSignInit", context, None, method, None, private, result=ctypes.c_int) == 1
    length = ctypes.c_size_t(1024)
    out = ctypes.create_string_buffer(1024)
    assert call("EVP_DigestSign", context, out, ctypes.byref(length), message, ctypes.c_size_t(len(message)), result=ctypes.c_int) == 1
    call("EVP_MD_CTX_free", context)
    return out.raw[:length.value]


def verified(private, method, message, signed):
    context = pointer(call("EVP_MD_CTX_new"))
    assert call("EVP_DigestVerifyInit", context, None, method, None, private, result=ctypes.c_int) == 1
    said = call("EVP_DigestVerify", context, signed, ctypes.c_size_t(len(signed)), message, ctypes.c_size_t(len(message)), result=ctypes.c_int)
    call("EVP_MD_CTX_free", context)
    return said


def sealed(cipher, message):
    context = pointer(call("EVP_CIPHER_CTX_new"))
    assert call("EVP_EncryptInit_ex", context, pointer(call(cipher)), None, bytes(range(32)), bytes(12), result=ctypes.c_int) == 1
    out = ctypes.create_string_buffer(len(message))
    length = ctypes.c_int()
    assert call("EVP_EncryptUpdate", context, out, ctypes.byref(length), message, len(message), result=ctypes.c_int) == 1
    call("EVP_CIPHER_CTX_free", context)
    return out.raw


buffer = bytes(i * 7 & 255 for i in range(16384))
for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b"):
    for _ in range(1 + PERCENT * 5):
        buffer = hashlib.new(name, buffer).digest() + buffer[64:]
    digest.update(buffer)
buffer = buffer.ljust(16384, b"x")
for name in ("EVP_aes_256_gcm", "EVP_aes_256_ctr", "EVP_chacha20_poly1305"):
    for _ in range(1 + PERCENT * 12):
        buffer = sealed(name, buffer)
    digest.update(buffer)

sha256 = pointer(call("EVP_sha256"))
rsa, ed25519, p256 = (key(f"/orrery/{name}.pem") for name in ("rsa", "ed25519", "p256"))
for i in range(1 + PERCENT * 3):
    digest.update(signature(rsa, sha256, buffer[i % 64:i % 64 + 64]))
for i in range(1 + PERCENT * 8):
    digest.update(signature(ed25519, None, buffer[i % 64:i % 64 + 64]))
# ECDSA draws a number for each signature: what is the same everywhere is that it verifies, and another does not.
for i in range(1 + PERCENT * 16):
    signed = signature(p256, sha256, buffer[:64])
    digest.update(b"%d%d" % (verified(p256, sha256, buffer[:64], signed) == 1, verified(p256, sha256, buffer[1:65], signed) == 1))
print(digest.hexdigest())
