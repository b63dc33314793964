// SPDX-License-Identifier: Apache-2.0
/* Unit tests of tls/aead and tls/schedule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/rand.h"
#include "tls/aead.h"
#include "tls/record.h"
#include "tls/schedule.h"

static const uint16_t suites[] = { RECORD_AES_128_GCM_SHA256, RECORD_AES_256_GCM_SHA384,
				   RECORD_CHACHA20_POLY1305_SHA256 };

static void unhex(const char *hex, uint8_t *ret, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned int b;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &b), 1);
		ret[i] = (uint8_t)b;
	}
	assert_int_equal(hex[2 * n], 0);
}

static void keys_of_rfc_8448_come_out_of_its_secrets(void **state)
{
	static const struct {
		const char *secret, *key, *iv;
	} rfc[] = {
		{ "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
		  "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984" },
		{ "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
		  "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rfc); i++) {
		uint8_t secret[32], key[16], iv[12];
		struct record_dir d;

		unhex(rfc[i].secret, secret, sizeof(secret));
		unhex(rfc[i].key, key, sizeof(key));
		unhex(rfc[i].iv, iv, sizeof(iv));
		assert_int_equal(schedule_dir(RECORD_AES_128_GCM_SHA256, secret, &d), 0);
		assert_memory_equal(d.key, key, sizeof(key));
		assert_memory_equal(d.iv, iv, sizeof(iv));
	}
}

static void the_application_record_of_rfc_8448_comes_out_byte_for_byte(void **state)
{
	static const char wire[] =
		"1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b39"
		"5bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
	uint8_t client[32], server[32], rec[50 + RECORD_OVERHEAD], want[sizeof(rec)];
	struct record r;

	(void)state;
	unhex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5", client, 32);
	unhex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643", server, 32);
	unhex(wire, want, sizeof(want));
	assert_int_equal(record_init(&r, RECORD_AES_128_GCM_SHA256, client, server, 32), 0);
	for (uint8_t i = 0; i < 50; i++)
		rec[RECORD_HEADER + i] = i;
	assert_int_equal(record_seal(&r, rec, 50, RECORD_DATA), sizeof(rec));
	assert_memory_equal(rec, want, sizeof(rec));
	record_fini(&r);
}

static void labels_and_lengths_that_cannot_be_are_refused(void **state)
{
	uint8_t secret[48] = { 0 }, out[64];

	(void)state;
	assert_int_equal(schedule_expand(0x1304, secret, "key", out, 16), -EINVAL);
	assert_int_equal(schedule_expand(0x1301, secret, "key", out, 33), -EINVAL);
	assert_int_equal(schedule_expand(0x1301, secret, "a label too long", out, 16), -EINVAL);
	assert_int_equal(schedule_secret_len(0x1302), 48);
	assert_int_equal(schedule_secret_len(0xc02f), 0);
}

/* Seals with one engine, opens with the other, compares with what the first made. */
static void engines_agree(uint16_t suite, size_t n)
{
	_free_ uint8_t *one = malloc(n + AEAD_TAG), *two = malloc(n + AEAD_TAG),
		       *plain = malloc(n + 1);
	uint8_t key[AEAD_KEY_MAX], nonce[AEAD_NONCE], aad[5];
	struct aead_span s1 = { aad, sizeof(aad), one, n }, s2 = { aad, sizeof(aad), two, n };
	struct aead *a, *b;

	rand_secure(key, sizeof(key));
	rand_secure(nonce, sizeof(nonce));
	rand_secure(aad, sizeof(aad));
	rand_secure(plain, n);
	memcpy(one, plain, n);
	memcpy(two, plain, n);
	assert_int_equal(aead_new_on(AEAD_OPENSSL, suite, key, &a), 0);
	assert_int_equal(aead_new_on(AEAD_IPSEC_MB, suite, key, &b), 0);
	assert_int_equal(aead_seal(a, nonce, &s1, one + n), 0);
	assert_int_equal(aead_seal(b, nonce, &s2, two + n), 0);
	assert_memory_equal(one, two, n + AEAD_TAG);
	assert_int_equal(aead_open(b, nonce, &s1, one + n), 0);
	assert_int_equal(aead_open(a, nonce, &s2, two + n), 0);
	assert_memory_equal(one, plain, n);
	assert_memory_equal(two, plain, n);
	aead_free(&a);
	aead_free(&b);
}

static void both_engines_make_the_same_bytes(void **state)
{
	(void)state;
	if (!aead_engine_present(AEAD_IPSEC_MB))
		skip();
	for (size_t i = 0; i < 2; i++) {
		for (size_t n = 1; n < 600; n++)
			engines_agree(suites[i], n);
		engines_agree(suites[i], 4096);
		engines_agree(suites[i], RECORD_PLAIN_MAX + 1);
	}
}

static void flip_and_open(struct aead *a, struct aead_span *s, uint8_t *nonce, uint8_t *tag,
			  uint8_t *bit)
{
	static const uint8_t zero[64];

	*bit ^= 0x10;
	assert_int_equal(aead_open(a, nonce, s, tag), -EBADMSG);
	assert_memory_equal(s->p, zero, s->n);
	*bit ^= 0x10;
}

static void forged(enum aead_engine e, uint16_t suite)
{
	uint8_t key[AEAD_KEY_MAX] = { 7 }, nonce[AEAD_NONCE] = { 9 }, aad[5] = { 1 };
	uint8_t sealed[64 + AEAD_TAG] = "text", buf[sizeof(sealed)];
	struct aead_span s = { aad, sizeof(aad), sealed, 64 };
	uint8_t *const bits[] = { &buf[0], &buf[63], &buf[64], &buf[79], &aad[4], &nonce[11] };
	struct aead *a;

	assert_int_equal(aead_new_on(e, suite, key, &a), 0);
	assert_int_equal(aead_seal(a, nonce, &s, sealed + 64), 0);
	s.p = buf;
	for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
		memcpy(buf, sealed, sizeof(buf));
		flip_and_open(a, &s, nonce, buf + 64, bits[i]);
	}
	memcpy(buf, sealed, sizeof(buf));
	assert_int_equal(aead_open(a, nonce, &s, buf + 64), 0);
	assert_string_equal((char *)buf, "text");
	aead_free(&a);
	assert_null(a);
}

static void a_changed_bit_anywhere_is_refused_and_leaves_no_plaintext(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		forged(AEAD_OPENSSL, suites[i]);
	for (size_t i = 0; i < 2 && aead_engine_present(AEAD_IPSEC_MB); i++)
		forged(AEAD_IPSEC_MB, suites[i]);
}

static void the_default_engine_serves_every_suite(void **state)
{
	uint8_t key[AEAD_KEY_MAX] = { 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		struct aead *a;

		assert_int_equal(aead_new(suites[i], key, &a), 0);
		aead_free(&a);
	}
}

static void unknown_suites_and_engines_are_not_supported(void **state)
{
	uint8_t key[AEAD_KEY_MAX] = { 1 };
	struct aead *a = NULL;

	(void)state;
	assert_int_equal(aead_new(0x1304, key, &a), -ENOTSUP);
	assert_int_equal(aead_new(0, key, &a), -ENOTSUP);
	assert_int_equal(aead_new_on(AEAD_ENGINE_MAX, 0x1301, key, &a), -ENOTSUP);
	if (aead_engine_present(AEAD_IPSEC_MB))
		assert_int_equal(aead_new_on(AEAD_IPSEC_MB, 0x1303, key, &a), -ENOTSUP);
	assert_null(a);
	aead_free(&a);
}

/* Seals and opens with a key of its own; NULL when all went well. */
static void *thread_main(void *arg)
{
	uint8_t key[AEAD_KEY_MAX], nonce[AEAD_NONCE] = { 0 }, buf[777 + AEAD_TAG] = { 0 };
	struct aead_span s = { nonce, 5, buf, 777 };
	struct aead *a;
	int r;

	memset(key, *(char *)arg, sizeof(key));
	if (aead_new(RECORD_AES_128_GCM_SHA256, key, &a) < 0)
		return arg;
	for (int i = r = 0; i < 2000 && r == 0; i++) {
		nonce[0] = (uint8_t)i;
		r = aead_seal(a, nonce, &s, buf + 777);
		if (r == 0)
			r = aead_open(a, nonce, &s, buf + 777);
	}
	for (size_t i = 0; i < 777; i++)
		r |= buf[i];
	aead_free(&a);
	return r ? arg : NULL;
}

static void threads_use_their_keys_at_the_same_time(void **state)
{
	char keys[] = "abcd";
	pthread_t t[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, thread_main, &keys[i]), 0);
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		void *bad;

		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
}

/* The choice is made once per process, so these need a process of their own: see main(). */
static void in_own_process(const char *engine, const char *expected)
{
	char self[PATH_MAX], cmd[PATH_MAX + 64], line[64] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	FILE *f;

	assert_true(n > 0);
	self[n] = '\0';
	snprintf(cmd, sizeof(cmd), "'%s' %s", self, engine);
	f = popen(cmd, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_int_equal(pclose(f), 0);
	line[strcspn(line, "\n")] = '\0';
	assert_string_equal(line, expected);
}

static void a_forced_engine_is_the_one_in_use(void **state)
{
	(void)state;
	in_own_process("openssl", "openssl");
	if (aead_engine_present(AEAD_IPSEC_MB))
		in_own_process("ipsec-mb", aead_engine_name());
}

static void an_engine_in_use_is_not_changed(void **state)
{
	bool mb = aead_engine_present(AEAD_IPSEC_MB);

	(void)state;
	assert_non_null(aead_engine_name());
	assert_int_equal(aead_engine_force(AEAD_OPENSSL), mb ? -EBUSY : 0);
	assert_int_equal(aead_engine_force(AEAD_IPSEC_MB), mb ? 0 : -ENOTSUP);
	assert_int_equal(aead_engine_force(AEAD_ENGINE_MAX), -ENOTSUP);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_rfc_8448_come_out_of_its_secrets),
		cmocka_unit_test(the_application_record_of_rfc_8448_comes_out_byte_for_byte),
		cmocka_unit_test(labels_and_lengths_that_cannot_be_are_refused),
		cmocka_unit_test(both_engines_make_the_same_bytes),
		cmocka_unit_test(a_changed_bit_anywhere_is_refused_and_leaves_no_plaintext),
		cmocka_unit_test(the_default_engine_serves_every_suite),
		cmocka_unit_test(unknown_suites_and_engines_are_not_supported),
		cmocka_unit_test(threads_use_their_keys_at_the_same_time),
		cmocka_unit_test(a_forced_engine_is_the_one_in_use),
		cmocka_unit_test(an_engine_in_use_is_not_changed),
	};

	if (argc == 2)
		return aead_engine_force(strcmp(argv[1], "openssl") == 0 ? AEAD_OPENSSL
									 : AEAD_IPSEC_MB) < 0 ||
		       puts(record_engine()) < 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
