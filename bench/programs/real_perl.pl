#!/usr/bin/perl
# perl: regular expressions, hashes, sorting, substitution and packing.
use strict;
use warnings;

my $n = int(2500 * ($ARGV[0] // 100));
my $sum = 0;
sub mix { $sum = ($sum * 31 + $_[0]) % 4294967291 }

my %count;
my $seed = 12345;
my @words;
for my $i (1 .. $n) {
  $seed = ($seed * 1103515245 + 12345) % 2147483648;
  push @words, sprintf("w%x", $seed >> 12 & 0xfff) . ("-x", ".yy", "")[$i % 3];
}
$count{$_}++ for @words;
for my $word (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count) { mix($count{$word} + length $word) }

my $text = join ' ', @words;
while ($text =~ /\bw([0-9a-f]*?)([a-f]+)(?:-x|\.yy)\b/g) { mix(length($1) * 7 + length $2) }
(my $changed = $text) =~ s/(\d)([a-f])/$2 . ($1 + 1)/ge;
mix(unpack('%32C*', $changed));
$changed =~ tr/a-f/f-k/;
mix(unpack('%32C*', $changed));
for my $line (split /[.-]/, $changed) { mix(length $line) if reverse($line) lt $line }
my @fields = map { my @f = split ' '; scalar @f } unpack '(A100)*', $text;
mix($_) for @fields;
print "$sum\n";
