# Mongo::ReplicaSet — a replica set of several mongods for a TAP test.
#
#     my $set = Mongo::ReplicaSet->new('set', 3)->start;
#     $set->hosts;                                     # "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"
#     $set->primary->insert('shop', 'items', …);       # the Mongo::Server that takes writes now
#     $set->secondaries;
#     $set->step_down;                                 # until another one is primary
#
# Elections take two seconds.
package Mongo::ReplicaSet;

use strict;
use warnings FATAL => 'all';

use Mongo::Server;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

sub new
{
	my ($class, $name, $count) = @_;
	my @members = map { Mongo::Server->new("$name$_", member => 1) } 1 .. $count;
	return bless { members => \@members }, $class;
}

sub start
{
	my ($self) = @_;
	$_->start for $self->members;
	my $number = 0;
	my $members = join ', ', map { sprintf '{"_id": %d, "host": "%s"}', $number++, $_->host } $self->members;
	$self->{members}[0]->command('admin', qq({"replSetInitiate": {"_id": "rs0", "members": [$members],
		"settings": {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500, "catchUpTimeoutMillis": 2000}}}));
	$self->primary;
	$self->wait_for_secondaries;
	return $self;
}

sub members { return @{ $_[0]->{members} }; }
sub hosts   { return join ',', map { $_->host } $_[0]->members; }

# The member that takes writes; waits for an election.
sub primary
{
	my ($self, $other_than) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	while (time < $deadline)
	{
		for my $member (grep { $_->pid } $self->members)
		{
			next if $other_than && $member == $other_than;
			my $hello = eval { $member->command('admin', [hello => 1]) };
			return $member if $hello && $hello->{isWritablePrimary};
		}
		usleep(50_000);
	}
	die "the replica set has no primary\n";
}

sub secondaries
{
	my ($self) = @_;
	my $primary = $self->primary;
	return grep { $_ != $primary } $self->members;
}

sub wait_for_secondaries
{
	my ($self) = @_;
	for my $member ($self->members)
	{
		$member->poll_until('is a member that serves', sub {
			my $hello = $member->command('admin', [hello => 1]);
			return $hello->{isWritablePrimary} || $hello->{secondary};
		});
	}
	return;
}

sub step_down
{
	my ($self) = @_;
	my $old = $self->primary;
	eval { $old->command('admin', '{"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5, "force": true}') };
	return $self->primary($old);
}

# For a process that was forked.
sub again
{
	my ($self) = @_;
	return bless { members => [ map { $_->again } $self->members ] }, ref $self;
}

1;
