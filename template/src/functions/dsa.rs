//! DSA keys, which sprig still makes.

use num_bigint::BigUint;
use sealwright_crypto::sealing::{der, pem};
use zeroize::Zeroizing;

use crate::random::random_bytes;
use crate::value::Value;

/// The prime of a domain with L = 2048 and N = 256, generated with `openssl genpkey -genparam -algorithm DSA -pkeyopt
/// dsa_paramgen_bits:2048 -pkeyopt dsa_paramgen_q_bits:256` (OpenSSL 3.0). A domain is no secret, and keys may share one; sprig
/// generates one for every key, which takes it seconds.
const P: &str = concat!(
    "8d0c960b5363553ca68baf883eafcefa4a26aa0b627ef2823219cfd8af06c1b3b795fb8c96907b3730d6ca4fac49b40a",
    "2dc5b076adf8e74b0cd3b35ff1ec954a392499b52363b3555f63e3746475a884c204c82d2f0ba376d0f2bb56221a6af5",
    "2b3df17c6f370ed48a22d54e6f68f8e2565f73ad190d1c633c5c44c162b7e475816994cd29e617d0c925fd06b0bd3970",
    "6dfd85a049dd40a4826d0e5e2d3ed590bdb1d485bfb2c46fba99ecdee14d365221326276056861b8a21582c33229b14f",
    "948b0a569cf0dbc00076412e45b2c2e6d22fb632f1319872dff88b410d3dbceed83f548d322e8d624ac26707175fef35",
    "19404ac8ee8010e176a1ece4d0318d03",
);
const Q: &str = "b801e50e5357362fa306eb3d7a8bb935fcadfaca384157fe4fa878524011335b";
const G: &str = concat!(
    "87982cda1059e5d73012ec218029be15679ac53f2718791556837245a080d2472c0cfa5224f5c48f936d5b8d4e410f2b",
    "c978873fc3651d346dcfcd0196a97e49f8633e147906cf9a147f1ab67929219e570f2129d12cd1a29f9f90522bcb920f",
    "d93b766444653f8c105f9d47114f35accb0c6d0b3d73cff0dda744cba0ba211050ad21310b714fa5b5a51876e2bbf972",
    "75819de033931da5d04a5004c8b1e51ede081b97cd1764015c72528f5f8cd727ab5432cc7749e99788c1f610018de869",
    "50d7d7b87fac280af4c35a49a61a6c0ca499d03b57e72d8e79598569a18d96c1436b6abbd40af0b52d42c1e103fee947",
    "4bf00707dc8dfada7ace4e629f68ae91",
);

/// Generates a key in the form of OpenSSL: `SEQUENCE { 0, p, q, g, y, x }`.
pub(super) fn private_key() -> Result<Value, String> {
    let number =
        |text: &str| BigUint::parse_bytes(text.as_bytes(), 16).expect("hexadecimal digits");
    let (p, q, g) = (number(P), number(Q), number(G));
    // Twice the bits that are needed, so that no number is likelier than another (FIPS 186-4, B.1.1).
    let random = random_bytes(64)?;
    let one = BigUint::from(1u8);
    let x = BigUint::from_bytes_be(&random) % (&q - &one) + &one;
    let y = g.modpow(&x, &p);
    let integer = |number: &BigUint| {
        let bytes = Zeroizing::new(number.to_bytes_be());
        let zero: &[u8] = if bytes[0] >= 0x80 { &[0] } else { &[] };
        der::value(der::INTEGER, &[zero, &bytes])
    };
    let numbers = [&p, &q, &g, &y, &x].map(integer);
    let mut fields: Vec<&[u8]> = vec![&[der::INTEGER, 1, 0]];
    fields.extend(numbers.iter().map(|number| number.as_slice()));
    let key = der::value(der::SEQUENCE, &fields);
    Ok(Value::text(&pem::write("DSA PRIVATE KEY", &key)[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_has_the_order_that_it_claims() {
        let number = |text: &str| BigUint::parse_bytes(text.as_bytes(), 16).unwrap();
        let (p, q, g) = (number(P), number(Q), number(G));
        let one = BigUint::from(1u8);
        assert_eq!((p.bits(), q.bits()), (2048, 256));
        assert_eq!((&p - &one) % &q, BigUint::ZERO);
        assert!(g > one);
        assert_eq!(g.modpow(&q, &p), one);
    }
}
