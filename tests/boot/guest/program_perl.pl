# Sorting, hashes, regular expressions, formats, packing, closures and big numbers: prints sums that need all of them.
use strict;
use warnings;
$| = 1;
use Math::BigInt;
use Math::BigFloat;
use Digest::SHA qw(sha1_hex sha256_hex);
use List::Util qw(reduce shuffle sum max);
use POSIX qw(floor fmod strftime);

my $state = 42;
sub draw { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return $state >> 8; }

my @numbers = map { draw() } 1 .. 20000;
print "sum ", sum(@numbers), " max ", max(@numbers), "\n";
print "sorted ", sha1_hex(join ",", sort { $a <=> $b } @numbers), "\n";
print "as text ", sha1_hex(join ",", sort @numbers), "\n";

my %words;
my $text = join " ", map { join "", map { chr(97 + draw() % 6) } 1 .. 1 + draw() % 5 } 1 .. 8000;
$words{$_}++ for split / /, $text;
print "words ", scalar(keys %words), " ", join(" ", map { "$_=$words{$_}" } (sort { $words{$b} <=> $words{$a} || $a cmp $b } keys %words)[0 .. 9]), "\n";
my $count = () = $text =~ /\b([a-f])\w*\1\b/g;
print "matches $count\n";
(my $swapped = $text) =~ s/(\w)(\w)/$2$1/g;
print "swapped ", sha256_hex($swapped), "\n";
my $nested = qr/(\((?:[^()]++|(?1))*\))/;
print "balanced ", ("((a)(b(c)))" =~ /^$nested$/ ? 1 : 0), ("((a)" =~ /^$nested$/ ? 1 : 0), "\n";

printf "%.15g %.3e %a %s %d\n", sqrt(2), exp(10), atan2(1, 2), 0.1 + 0.2, 2**53;
printf "%.17g\n", sin($_) * cos($_ / 3) + log($_) for 1 .. 10;
print "fmod ", fmod(10.5, 3), " floor ", floor(-1.5), "\n";
print "packed ", unpack("H*", pack("NnCa5 d< f> w Q>", 0xdeadbeef, 0x1234, 7, "abc", 3.25, -1.5, 300, 2**40)), "\n";

my $factorial = Math::BigInt->new(1);
$factorial *= $_ for 1 .. 300;
print "300! ", sha1_hex("$factorial"), "\n";
print "pi ", Math::BigFloat->bpi(100), "\n";
print "power ", Math::BigInt->new(7)->bmodpow("123456789123456789", "1000000007"), "\n";

my $compose = sub { $_[0] };
for my $n (1 .. 50) {
  my $inner = $compose;
  $compose = sub { ($inner->($_[0]) * $n + 1) % 1000003 };
}
print "largest ", (reduce { $a > $b ? $a : $b } @numbers), "\n";
print "composed ", $compose->(17), "\n";
sub ackermann { my ($m, $n) = @_; no warnings 'recursion'; return $n + 1 if $m == 0; return ackermann($m - 1, 1) if $n == 0; return ackermann($m - 1, ackermann($m, $n - 1)); }
print "ackermann ", ackermann(2, 60), "\n";
print "date ", strftime("%Y-%m-%d %H:%M:%S %j", gmtime(1234567890)), "\n";
eval { die { code => 7 } };
print "caught $@->{code}\n";
my $sieve = "1" x 30000;
for my $i (2 .. 173) { next unless substr($sieve, $i, 1); for (my $j = $i * $i; $j < 30000; $j += $i) { substr($sieve, $j, 1) = "0" } }
print "primes ", (substr($sieve, 2) =~ tr/1//), "\n";
my $child = open(my $pipe, "-|") // die;
if (!$child) { print "from the child ", join(",", map { $_ * $_ } 1 .. 5), "\n"; exit 3 }
print <$pipe>;
close $pipe;
print "child's status ", $? >> 8, "\n";
